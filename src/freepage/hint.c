// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hinting: for a live migration the host asks which memory is free,
 * and does not send that memory (virtio 1.3, 5.5.6.5).
 *
 * A free page may be in use a moment later.  So the driver allocates free
 * blocks, the largest first, tells the host of them, and puts them into the
 * pool (pool.c) until the host is done or the guest needs memory.
 *
 * The host asks by showing the number of a new command in the config space.
 * The driver answers on the hint queue: first the same number, then blocks,
 * then the number of STOP.
 *
 * The guest must not use a block that the host has yet to read: a host like
 * Firecracker discards the content of each block that it reads.  So only a few
 * blocks are in flight, and a block returns to the guest only when it was read
 * or the device is reset.
 */
#include <linux/mm.h>

#include "freepage/pool.h"
#include "policy.h"

/* The largest block: 4 MiB. */
#define VB_HINT_ORDER_MAX	min_t(unsigned int, MAX_PAGE_ORDER, \
				      VB_BLOCK_ORDER + 1)
/* Blocks in flight at the most: a silent host keeps 128 MiB from the guest. */
#define VB_HINT_INFLIGHT	32U
/* Buffers for one notification. */
#define VB_HINT_KICK		8U
/*
 * While the host has something to read, @work polls the hint queue, since
 * QEMU's last interrupt may be lost while the migration waits for more hints:
 * at each jiffy, and this often once the host has read nothing for a second.
 */
#define VB_HINT_LOOK		(HZ / 10)

static void vb_hint_kick(struct vb_hint *hint)
{
	if (!vb_worker_stopping(hint->worker))
		mod_delayed_work(hint->wq, &hint->work, 0);
}

/**
 * vb_hint_answered() - let the work take back what the host has read
 * @hint: the hints
 *
 * Context: Any.
 */
void vb_hint_answered(struct vb_hint *hint)
{
	vb_hint_kick(hint);
	vb_worker_answered(hint->worker);
}

/**
 * vb_hint_config_changed() - let the work read the host's command
 * @hint: the hints
 *
 * Context: Any.
 */
void vb_hint_config_changed(struct vb_hint *hint)
{
	if (!hint->wq)
		return;
	set_bit(VB_HINT_ASKED, &hint->events);
	vb_hint_kick(hint);
}

/* Count a block that is posted (@blocks is 1) or that came back (-1). */
static void vb_hint_count(struct vb_hint *hint, struct page *page, int blocks)
{
	lockdep_assert_held(&hint->pool.lock);

	WRITE_ONCE(hint->in_flight, hint->in_flight + blocks);
	WRITE_ONCE(hint->in_flight_pages,
		   hint->in_flight_pages + blocks * vb_pool_block_pages(page));
}

/**
 * vb_hint_collect() - put the blocks that the host has read into the pool
 * @hint: the hints
 *
 * Context: Process context; takes the pool lock.
 */
void vb_hint_collect(struct vb_hint *hint)
{
	unsigned long pages = 0;
	struct page *page;
	void *token;

	spin_lock(&hint->pool.lock);
	while ((token = vb_hintq_get(hint->channel))) {
		WRITE_ONCE(hint->progress, jiffies);
		if (token == &hint->cmd) {
			hint->cmd_posted = false;
			continue;
		}
		page = token;
		vb_hint_count(hint, page, -1);
		vb_pool_put(&hint->pool, page, &hint->pool.read);
		pages += vb_pool_block_pages(page);
	}
	spin_unlock(&hint->pool.lock);
	vb_counters_add(hint->channel->counters, VB_HINTED, pages);
}

/**
 * vb_hint_held() - count the memory that hints hold
 * @hint: the hints
 *
 * Context: Any.
 * Return: guest pages in the pool and in flight.
 */
unsigned long vb_hint_held(const struct vb_hint *hint)
{
	return vb_pool_pages(&hint->pool) + READ_ONCE(hint->in_flight_pages);
}

/**
 * vb_hint_silent() - tell whether the host leaves the hint queue unread
 * @hint: the hints
 *
 * Context: Process context; takes the pool lock.
 * Return: true if the host has buffers and handed none back for
 * VB_SILENT_AFTER; false for a broken queue.
 */
bool vb_hint_silent(struct vb_hint *hint)
{
	bool silent;

	if (READ_ONCE(hint->broken))
		return false;
	spin_lock(&hint->pool.lock);
	silent = (hint->in_flight || hint->cmd_posted) &&
		 time_after(jiffies, hint->progress + VB_SILENT_AFTER);
	spin_unlock(&hint->pool.lock);
	return silent;
}

static struct page *vb_hint_take(struct vb_hint *hint)
{
	u64 floor = vb_policy_floor(vb_store_total(hint->store), PAGE_SHIFT);

	return vb_pool_take(&hint->order, floor + (1UL << VB_HINT_ORDER_MAX));
}

/* Start the clock of vb_hint_silent() before the first buffer is posted. */
static void vb_hint_start_clock(struct vb_hint *hint)
{
	lockdep_assert_held(&hint->pool.lock);

	if (!hint->in_flight && !hint->cmd_posted)
		WRITE_ONCE(hint->progress, jiffies);
}

/*
 * vb_hint_post_cmd(), vb_hint_post_block() and vb_hint_advance() return
 *   0		done: go on
 *   -EBUSY	the host must read something first
 *   -ENODATA	nothing to do until the host has a new command
 */
static int vb_hint_post_cmd(struct vb_hint *hint, u32 cmd)
{
	int rc = -EBUSY;

	spin_lock(&hint->pool.lock);
	if (hint->cmd_posted)
		goto out;
	vb_hint_start_clock(hint);
	hint->cmd = cpu_to_virtio32(hint->channel->vdev, cmd);
	if (vb_hintq_cmd(hint->channel, &hint->cmd, sizeof(hint->cmd)))
		goto out;
	hint->cmd_posted = true;
	hint->told = cmd;
	hint->urge = true;
	rc = 0;
	if (cmd == VIRTIO_BALLOON_CMD_ID_STOP)
		goto out;
	/* The host forgets with each command what it was told for the last. */
	list_splice_tail_init(&hint->pool.read, &hint->pool.due);
	hint->order = VB_HINT_ORDER_MAX;
	WRITE_ONCE(hint->strained, false);
out:
	spin_unlock(&hint->pool.lock);
	return rc;
}

static int vb_hint_post_block(struct vb_hint *hint)
{
	struct page *page;
	int rc = 0;

	if (READ_ONCE(hint->in_flight) >= VB_HINT_INFLIGHT)
		return -EBUSY;
	spin_lock(&hint->pool.lock);
	page = vb_pool_get(&hint->pool, &hint->pool.due);
	spin_unlock(&hint->pool.lock);
	if (!page && !READ_ONCE(hint->strained))
		page = vb_hint_take(hint);
	if (!page) {
		hint->spent = hint->told;
		return 0;
	}

	spin_lock(&hint->pool.lock);
	if (vb_hintq_block(hint->channel, page_address(page),
			   PAGE_SIZE << page_private(page), page)) {
		/* The ring is full, or broken. */
		vb_pool_put(&hint->pool, page, &hint->pool.due);
		rc = -EBUSY;
	} else {
		vb_hint_start_clock(hint);
		vb_hint_count(hint, page, 1);
	}
	spin_unlock(&hint->pool.lock);
	return rc;
}

static int vb_hint_advance(struct vb_hint *hint)
{
	u32 asked, goal;

	if (test_and_clear_bit(VB_HINT_ASKED, &hint->events)) {
		/* Little-endian on legacy devices too (virtio 1.3, 5.5.4). */
		virtio_cread_le(hint->channel->vdev,
				struct virtio_balloon_config,
				free_page_hint_cmd_id, &asked);
		/* QEMU shows STOP also while it reads the answer to a command. */
		if (asked != VIRTIO_BALLOON_CMD_ID_STOP)
			hint->wanted = asked;
		hint->urge = true;
	}
	goal = hint->wanted;
	if (goal == VIRTIO_BALLOON_CMD_ID_DONE) {
		vb_pool_give(&hint->pool, ULONG_MAX);
		goal = VIRTIO_BALLOON_CMD_ID_STOP;
	}
	if (goal == VIRTIO_BALLOON_CMD_ID_STOP)
		hint->spent = goal;
	else if (goal == hint->spent)
		goal = VIRTIO_BALLOON_CMD_ID_STOP;

	if (goal == hint->told && goal == VIRTIO_BALLOON_CMD_ID_STOP)
		return -ENODATA;
	if (goal == hint->told)
		return vb_hint_post_block(hint);
	/* Blocks in flight belong to the last command: let the host read them. */
	if (goal != VIRTIO_BALLOON_CMD_ID_STOP && READ_ONCE(hint->in_flight))
		return -EBUSY;
	return vb_hint_post_cmd(hint, goal);
}

/* Stop hinting; the balloon goes on.  Blocks in flight stay until the reset. */
static void vb_hint_break(struct vb_hint *hint)
{
	WRITE_ONCE(hint->broken, true);
	vb_pool_give(&hint->pool, ULONG_MAX);
	dev_warn(&hint->channel->vdev->dev,
		 "the device broke its protocol on the hint queue; no more hints until it is bound again\n");
}

static void vb_hint_work(struct work_struct *work)
{
	struct vb_hint *hint = container_of(to_delayed_work(work),
					    struct vb_hint, work);
	unsigned long until = jiffies + VB_WORK_SLICE;
	unsigned int posted = 0;
	unsigned long recent;
	int rc;

	do {
		if (vb_worker_stopping(hint->worker) || hint->broken)
			return;
		cond_resched();
		vb_hint_collect(hint);
		rc = vb_hint_advance(hint);
		posted += !rc;
		if (rc || !(posted % VB_HINT_KICK)) {
			vb_hintq_notify(hint->channel, hint->urge);
			hint->urge = false;
		}
	} while (!rc && time_before(jiffies, until));
	if (vb_hintq_broken(hint->channel)) {
		vb_hint_break(hint);
		return;
	}
	/* The worker sets the state to silent, and then checks it by itself. */
	if (vb_hint_silent(hint) && !READ_ONCE(hint->worker->awaits))
		vb_worker_kick(hint->worker);
	recent = READ_ONCE(hint->progress) + HZ;
	if (!rc)
		queue_delayed_work(hint->wq, &hint->work, 0);
	else if (rc == -EBUSY || READ_ONCE(hint->in_flight))
		queue_delayed_work(hint->wq, &hint->work,
				   time_before(jiffies, recent) ? 1 :
				   VB_HINT_LOOK);
}

/* As after vb_hint_init(): no command, and no buffer in flight. */
static void vb_hint_reset(struct vb_hint *hint)
{
	hint->wanted = VIRTIO_BALLOON_CMD_ID_STOP;
	hint->told = VIRTIO_BALLOON_CMD_ID_STOP;
	hint->spent = VIRTIO_BALLOON_CMD_ID_STOP;
	hint->cmd_posted = false;
	WRITE_ONCE(hint->broken, false);
	WRITE_ONCE(hint->in_flight, 0);
	WRITE_ONCE(hint->in_flight_pages, 0);
}

/**
 * vb_hint_stop() - take no more blocks; the work does not run afterwards
 * @hint: the hints; the driver is stopping
 *
 * Context: May sleep.
 */
void vb_hint_stop(struct vb_hint *hint)
{
	if (hint->wq)
		cancel_delayed_work_sync(&hint->work);
}

/**
 * vb_hint_abandon() - put the blocks that the host never read into the pool
 * @hint: the hints, stopped; the device is reset, its virtqueues still exist
 *
 * Context: May sleep.
 */
void vb_hint_abandon(struct vb_hint *hint)
{
	void *token;

	if (!hint->wq)
		return;
	/* An interrupt before the reset may have queued the work. */
	cancel_delayed_work_sync(&hint->work);
	spin_lock(&hint->pool.lock);
	while ((token = vb_hintq_detach(hint->channel)))
		if (token != &hint->cmd)
			vb_pool_put(&hint->pool, token, &hint->pool.due);
	spin_unlock(&hint->pool.lock);
	vb_hint_reset(hint);
}

/**
 * vb_hint_empty() - give all blocks back
 * @hint: the hints, abandoned
 *
 * Context: May sleep.
 */
void vb_hint_empty(struct vb_hint *hint)
{
	vb_pool_give(&hint->pool, ULONG_MAX);
}

/**
 * vb_hint_init() - prepare hints, if FREE_PAGE_HINT is negotiated
 * @hint: the hints, zeroed
 * @channel: carries hints; initialised
 * @store: gives the size of the guest
 * @worker: sets the state when the host is silent
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_hint_exit() is due either way.
 */
int vb_hint_init(struct vb_hint *hint, struct vb_channel *channel,
		 struct vb_store *store, struct vb_worker *worker)
{
	hint->channel = channel;
	hint->store = store;
	hint->worker = worker;
	vb_pool_init(&hint->pool);
	INIT_DELAYED_WORK(&hint->work, vb_hint_work);
	if (!virtio_has_feature(channel->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		return 0;
	/* A workqueue of its own, since statistics must not wait for hints. */
	hint->wq = alloc_workqueue("vballoon-hint", WQ_FREEZABLE |
				   WQ_MEM_RECLAIM | WQ_UNBOUND, 1);
	return hint->wq ? 0 : -ENOMEM;
}

/**
 * vb_hint_exit() - free what vb_hint_init() took
 * @hint: the hints, stopped
 *
 * Context: May sleep.
 */
void vb_hint_exit(struct vb_hint *hint)
{
	if (hint->wq)
		destroy_workqueue(hint->wq);
}
