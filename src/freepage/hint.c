// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hinting: for a live migration the host asks which memory is free,
 * so that it need not send it.
 *
 * A free page may be in use a moment later.  So free memory is taken, in the
 * largest blocks, told to the host, and kept until the host is done, or the
 * guest needs it.  The host numbers its questions ("commands"), and so does
 * the answer: the number, then blocks, then STOP when there are no more.  What
 * the host has read is in pool.c.
 *
 * A block that the host has not read is nobody's: some hosts throw away its
 * contents when they do.  So few are before the host at a time, and only what
 * it has read goes back to the guest before the device is reset.
 */
#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "freepage/pool.h"
#include "policy.h"

/*
 * From what is free only, no reclaim, no reserves; and not from ZONE_MOVABLE
 * or CMA, where others rely on moving what they find.
 */
#define VB_HINT_GFP	(__GFP_NORETRY | __GFP_NOWARN | __GFP_NOMEMALLOC | \
			 VB_GFP_UNTOUCHED)
/* The largest block, 4 MiB, and the smallest that is worth a buffer. */
#define VB_HINT_ORDER_MAX	min_t(unsigned int, MAX_PAGE_ORDER, \
				      VB_BLOCK_ORDER + 1)
#define VB_HINT_ORDER_MIN	VB_BLOCK_ORDER
/* Blocks before the host: what a silent one can keep, 128 MiB. */
#define VB_HINT_INFLIGHT	32U
/* Blocks to a notification. */
#define VB_HINT_KICK		8U
/*
 * While the host reads, look after it at each tick, for the migration goes on:
 * QEMU answers from a thread of its own, and was seen to stop without a last
 * interrupt.  Once it has not for a while, this often.
 */
#define VB_HINT_LOOK		(HZ / 10)

static void vb_hint_kick(struct vb_hint *hint)
{
	if (!vb_worker_stopping(hint->worker))
		mod_delayed_work(hint->wq, &hint->work, 0);
}

/**
 * vb_hint_answered() - the host has read something on the hint queue
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
 * vb_hint_config_changed() - the host may have another question
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

/* A block goes before the host (1), or comes back (-1). */
static void vb_hint_fly(struct vb_hint *hint, struct page *page, int blocks)
{
	lockdep_assert_held(&hint->pool.lock);

	WRITE_ONCE(hint->in_flight, hint->in_flight + blocks);
	WRITE_ONCE(hint->in_flight_pages,
		   hint->in_flight_pages + blocks * vb_pool_block_pages(page));
}

/**
 * vb_hint_collect() - take back what the host has read
 * @hint: the hints
 *
 * From now on it may go back to the guest.
 *
 * Context: Process context.
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
			WRITE_ONCE(hint->cmd_posted, false);
			continue;
		}
		page = token;
		vb_hint_fly(hint, page, -1);
		vb_pool_put(&hint->pool, page, &hint->pool.kept);
		pages += vb_pool_block_pages(page);
	}
	spin_unlock(&hint->pool.lock);
	vb_counters_add(hint->channel->counters, VB_HINTED, pages);
}

/**
 * vb_hint_held() - memory that hints keep from the guest
 * @hint: the hints
 *
 * Context: Any.
 * Return: guest pages: vb_pool_pages(), and what the host has yet to read.
 */
unsigned long vb_hint_held(const struct vb_hint *hint)
{
	return vb_pool_pages(&hint->pool) + READ_ONCE(hint->in_flight_pages);
}

/**
 * vb_hint_silent() - has the host not read for too long?
 * @hint: the hints
 *
 * Context: Any.
 * Return: true if it has something to read and VB_SILENT_AFTER has passed.
 */
bool vb_hint_silent(const struct vb_hint *hint)
{
	if (READ_ONCE(hint->broken))
		return false;
	return (READ_ONCE(hint->in_flight) || READ_ONCE(hint->cmd_posted)) &&
	       time_after(jiffies, READ_ONCE(hint->progress) + VB_SILENT_AFTER);
}

/* Is there memory that nobody will miss, and not merely reclaimable? */
static bool vb_hint_may_take(struct vb_hint *hint)
{
	unsigned long floor;

	floor = vb_policy_floor(vb_store_total(hint->store), PAGE_SHIFT) +
		(1UL << VB_HINT_ORDER_MAX);

	return si_mem_available() > (long)floor &&
	       global_zone_page_state(NR_FREE_PAGES) > floor;
}

static struct page *vb_hint_take(struct vb_hint *hint)
{
	struct page *page;

	if (!vb_hint_may_take(hint))
		return NULL;
	/* Once there is none of a size, look for smaller ones only. */
	for (;;) {
		page = alloc_pages(VB_HINT_GFP, hint->order);
		if (page)
			break;
		if (hint->order <= VB_HINT_ORDER_MIN)
			return NULL;
		hint->order--;
	}
	set_page_private(page, hint->order);
	return page;
}

/* The host is about to have something to read. */
static void vb_hint_turn(struct vb_hint *hint)
{
	lockdep_assert_held(&hint->pool.lock);

	if (!hint->in_flight && !hint->cmd_posted)
		WRITE_ONCE(hint->progress, jiffies);
}

/*
 * The steps below return
 *   0		done: take the next
 *   -EBUSY	it is the host's turn; its answer brings us back
 *   -ENODATA	nothing to do
 */
static int vb_hint_tell(struct vb_hint *hint, u32 cmd)
{
	int rc = -EBUSY;

	spin_lock(&hint->pool.lock);
	if (hint->cmd_posted)
		goto out;
	vb_hint_turn(hint);
	hint->cmd = cpu_to_virtio32(hint->channel->vdev, cmd);
	if (vb_hintq_cmd(hint->channel, &hint->cmd, sizeof(hint->cmd)))
		goto out;
	WRITE_ONCE(hint->cmd_posted, true);
	hint->told = cmd;
	hint->urge = true;
	rc = 0;
	if (cmd == VIRTIO_BALLOON_CMD_ID_STOP)
		goto out;
	/* A new command knows nothing of what the last one was told. */
	list_splice_tail_init(&hint->pool.kept, &hint->pool.again);
	hint->order = VB_HINT_ORDER_MAX;
	WRITE_ONCE(hint->strained, false);
out:
	spin_unlock(&hint->pool.lock);
	return rc;
}

static int vb_hint_block(struct vb_hint *hint)
{
	struct page *page;
	int rc = 0;

	if (READ_ONCE(hint->in_flight) >= VB_HINT_INFLIGHT)
		return -EBUSY;
	spin_lock(&hint->pool.lock);
	page = vb_pool_get(&hint->pool, &hint->pool.again);
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
		vb_pool_put(&hint->pool, page, &hint->pool.again);
		rc = -EBUSY;
	} else {
		vb_hint_turn(hint);
		vb_hint_fly(hint, page, 1);
	}
	spin_unlock(&hint->pool.lock);
	return rc;
}

static int vb_hint_step(struct vb_hint *hint)
{
	u32 asked, goal;

	if (test_and_clear_bit(VB_HINT_ASKED, &hint->events)) {
		/* Little-endian on legacy devices too (virtio 1.3, 5.5.4). */
		virtio_cread_le(hint->channel->vdev,
				struct virtio_balloon_config,
				free_page_hint_cmd_id, &asked);
		/* QEMU shows STOP while it reads, too: that is no news. */
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

	if (goal == hint->told)
		return goal == VIRTIO_BALLOON_CMD_ID_STOP ? -ENODATA :
							     vb_hint_block(hint);
	/* What the host has yet to read is told for the last command, not this. */
	if (goal != VIRTIO_BALLOON_CMD_ID_STOP && READ_ONCE(hint->in_flight))
		return -EBUSY;
	return vb_hint_tell(hint, goal);
}

/* The balloon goes on; what the host has not read stays until the next reset. */
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
		rc = vb_hint_step(hint);
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
	/* The worker says so, and from then on looks itself. */
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

/* Nothing is told, nothing is asked. */
static void vb_hint_reset(struct vb_hint *hint)
{
	hint->wanted = VIRTIO_BALLOON_CMD_ID_STOP;
	hint->told = VIRTIO_BALLOON_CMD_ID_STOP;
	hint->spent = VIRTIO_BALLOON_CMD_ID_STOP;
	hint->cmd_posted = false;
	hint->broken = false;
	hint->in_flight = 0;
	hint->in_flight_pages = 0;
}

/**
 * vb_hint_stop() - take no more, and nothing of it runs
 * @hint: the hints; the conversation is stopping
 *
 * Context: May sleep.
 */
void vb_hint_stop(struct vb_hint *hint)
{
	if (hint->wq)
		cancel_delayed_work_sync(&hint->work);
}

/**
 * vb_hint_empty() - give everything back, read by the host or not
 * @hint: the hints: stopped, the device reset, its queues still there
 *
 * Context: May sleep.
 */
void vb_hint_empty(struct vb_hint *hint)
{
	void *token;

	if (!hint->wq)
		return;
	/* A callback may have queued it before the reset. */
	cancel_delayed_work_sync(&hint->work);
	while ((token = vb_hintq_detach(hint->channel)))
		if (token != &hint->cmd)
			vb_pool_free(token);
	vb_pool_give(&hint->pool, ULONG_MAX);
	vb_hint_reset(hint);
}

/**
 * vb_hint_init() - prepare, if the host may ask
 * @hint: the hints
 * @channel: where hints travel
 * @store: says how large the guest is
 * @worker: says that the host is silent
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
	/* Of its own: it may take a while, and statistics should not. */
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
