// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hinting: for a live migration the host asks which memory is free,
 * so that it need not send it.
 *
 * A free page may be in use a moment later.  So free memory is taken, in the
 * largest blocks, told to the host, and kept until the host is done, or the
 * guest needs it.  The host numbers its questions ("commands"), and so does
 * the answer: the number, then blocks, then STOP when there are no more.  What
 * the host has read is in kept.c.
 *
 * A block that the host has not read is nobody's: some hosts throw away its
 * contents when they do.  So few are before the host at a time, and only what
 * it has read goes back to the guest before the device is reset.
 */
#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "vballoon.h"

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

static void vb_hint_kick(struct vb_device *vb)
{
	if (!vb_worker_stopping(&vb->worker))
		mod_delayed_work(vb->hint.wq, &vb->hint.work, 0);
}

/**
 * vb_hint_answered() - the host has read something on the hint queue
 * @vb: the device
 *
 * Context: Any.
 */
void vb_hint_answered(struct vb_device *vb)
{
	vb_hint_kick(vb);
	vb_worker_answered(&vb->worker);
}

/**
 * vb_hint_config_changed() - the host may have another question
 * @vb: the device
 *
 * Context: Any.
 */
void vb_hint_config_changed(struct vb_device *vb)
{
	if (!vb->hint.wq)
		return;
	set_bit(VB_PENDING_HINT, &vb->pending);
	vb_hint_kick(vb);
}

/* A block goes before the host (1), or comes back (-1). */
static void vb_hint_fly(struct vb_hint *hint, struct page *page, int blocks)
{
	lockdep_assert_held(&hint->lock);

	WRITE_ONCE(hint->inflight, hint->inflight + blocks);
	WRITE_ONCE(hint->inflight_pages,
		   hint->inflight_pages + blocks * vb_hint_pages(page));
}

/**
 * vb_hint_collect() - take back what the host has read
 * @vb: the device
 *
 * From now on it may go back to the guest.
 *
 * Context: Process context.
 */
void vb_hint_collect(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;
	unsigned long pages = 0;
	struct page *page;
	void *token;

	spin_lock(&hint->lock);
	while ((token = vb_hintq_get(&vb->channel))) {
		WRITE_ONCE(hint->progress, jiffies);
		if (token == &hint->cmd) {
			WRITE_ONCE(hint->cmd_posted, false);
			continue;
		}
		page = token;
		vb_hint_fly(hint, page, -1);
		vb_kept_put(hint, page, &hint->kept);
		pages += vb_hint_pages(page);
	}
	spin_unlock(&hint->lock);
	vb_counters_add(&vb->counters, VB_HINTED, pages);
}

/**
 * vb_hint_held() - memory that hints keep from the guest
 * @vb: the device
 *
 * Context: Any.
 * Return: guest pages: vb_kept_pages(), and what the host has yet to read.
 */
unsigned long vb_hint_held(struct vb_device *vb)
{
	return vb_kept_pages(vb) + READ_ONCE(vb->hint.inflight_pages);
}

/**
 * vb_hint_silent() - has the host not read for too long?
 * @vb: the device
 *
 * Context: Any.
 * Return: true if it has something to read and VB_SILENT_AFTER has passed.
 */
bool vb_hint_silent(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;

	if (READ_ONCE(hint->broken))
		return false;
	return (READ_ONCE(hint->inflight) || READ_ONCE(hint->cmd_posted)) &&
	       time_after(jiffies, READ_ONCE(hint->progress) + VB_SILENT_AFTER);
}

/* Is there memory that nobody will miss, and not merely reclaimable? */
static bool vb_hint_may_take(struct vb_device *vb)
{
	unsigned long floor = vb_policy_floor(vb_store_total(&vb->store), PAGE_SHIFT) +
			      (1UL << VB_HINT_ORDER_MAX);

	return si_mem_available() > (long)floor &&
	       global_zone_page_state(NR_FREE_PAGES) > floor;
}

static struct page *vb_hint_take(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;
	struct page *page;

	if (!vb_hint_may_take(vb))
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
	lockdep_assert_held(&hint->lock);

	if (!hint->inflight && !hint->cmd_posted)
		WRITE_ONCE(hint->progress, jiffies);
}

/*
 * The steps below return
 *   0		done: take the next
 *   -EBUSY	it is the host's turn; its answer brings us back
 *   -ENODATA	nothing to do
 */
static int vb_hint_tell(struct vb_device *vb, u32 cmd)
{
	struct vb_hint *hint = &vb->hint;
	int rc = -EBUSY;

	spin_lock(&hint->lock);
	if (hint->cmd_posted)
		goto out;
	vb_hint_turn(hint);
	hint->cmd = cpu_to_virtio32(vb->vdev, cmd);
	if (vb_hintq_cmd(&vb->channel, &hint->cmd, sizeof(hint->cmd)))
		goto out;
	WRITE_ONCE(hint->cmd_posted, true);
	hint->told = cmd;
	hint->urge = true;
	rc = 0;
	if (cmd == VIRTIO_BALLOON_CMD_ID_STOP)
		goto out;
	/* A new command knows nothing of what the last one was told. */
	list_splice_tail_init(&hint->kept, &hint->again);
	hint->order = VB_HINT_ORDER_MAX;
	WRITE_ONCE(hint->strained, false);
out:
	spin_unlock(&hint->lock);
	return rc;
}

static int vb_hint_block(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;
	struct page *page;
	int rc = 0;

	if (READ_ONCE(hint->inflight) >= VB_HINT_INFLIGHT)
		return -EBUSY;
	spin_lock(&hint->lock);
	page = vb_kept_get(hint, &hint->again);
	spin_unlock(&hint->lock);
	if (!page && !READ_ONCE(hint->strained))
		page = vb_hint_take(vb);
	if (!page) {
		hint->spent = hint->told;
		return 0;
	}

	spin_lock(&hint->lock);
	if (vb_hintq_block(&vb->channel, page_address(page),
			   PAGE_SIZE << page_private(page), page)) {
		/* The ring is full, or broken. */
		vb_kept_put(hint, page, &hint->again);
		rc = -EBUSY;
	} else {
		vb_hint_turn(hint);
		vb_hint_fly(hint, page, 1);
	}
	spin_unlock(&hint->lock);
	return rc;
}

static int vb_hint_step(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;
	u32 asked, goal;

	if (test_and_clear_bit(VB_PENDING_HINT, &vb->pending)) {
		/* Little-endian on legacy devices too (virtio 1.3, 5.5.4). */
		virtio_cread_le(vb->vdev, struct virtio_balloon_config,
				free_page_hint_cmd_id, &asked);
		/* QEMU shows STOP while it reads, too: that is no news. */
		if (asked != VIRTIO_BALLOON_CMD_ID_STOP)
			hint->wanted = asked;
		hint->urge = true;
	}
	goal = hint->wanted;
	if (goal == VIRTIO_BALLOON_CMD_ID_DONE) {
		vb_kept_give(vb, ULONG_MAX);
		goal = VIRTIO_BALLOON_CMD_ID_STOP;
	}
	if (goal == VIRTIO_BALLOON_CMD_ID_STOP)
		hint->spent = goal;
	else if (goal == hint->spent)
		goal = VIRTIO_BALLOON_CMD_ID_STOP;

	if (goal == hint->told)
		return goal == VIRTIO_BALLOON_CMD_ID_STOP ? -ENODATA :
							     vb_hint_block(vb);
	/* What the host has yet to read is told for the last command, not this. */
	if (goal != VIRTIO_BALLOON_CMD_ID_STOP && READ_ONCE(hint->inflight))
		return -EBUSY;
	return vb_hint_tell(vb, goal);
}

/* The balloon goes on; what the host has not read stays until the next reset. */
static void vb_hint_break(struct vb_device *vb)
{
	WRITE_ONCE(vb->hint.broken, true);
	vb_kept_give(vb, ULONG_MAX);
	dev_warn(&vb->vdev->dev,
		 "the device broke its protocol on the hint queue; no more hints until it is bound again\n");
}

static void vb_hint_work(struct work_struct *work)
{
	struct vb_device *vb = container_of(to_delayed_work(work),
					    struct vb_device, hint.work);
	struct vb_hint *hint = &vb->hint;
	unsigned long until = jiffies + VB_WORK_SLICE;
	unsigned int posted = 0;
	unsigned long recent;
	int rc;

	do {
		if (vb_worker_stopping(&vb->worker) || hint->broken)
			return;
		cond_resched();
		vb_hint_collect(vb);
		rc = vb_hint_step(vb);
		posted += !rc;
		if (rc || !(posted % VB_HINT_KICK)) {
			vb_hintq_notify(&vb->channel, hint->urge);
			hint->urge = false;
		}
	} while (!rc && time_before(jiffies, until));
	if (vb_hintq_broken(&vb->channel)) {
		vb_hint_break(vb);
		return;
	}
	/* The worker says so, and from then on looks itself. */
	if (vb_hint_silent(vb) && !READ_ONCE(vb->worker.awaits))
		vb_worker_kick(&vb->worker);
	recent = READ_ONCE(hint->progress) + HZ;
	if (!rc)
		queue_delayed_work(hint->wq, &hint->work, 0);
	else if (rc == -EBUSY || READ_ONCE(hint->inflight))
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
	hint->inflight = 0;
	hint->inflight_pages = 0;
}

/**
 * vb_hint_start() - answer the host's questions from now on
 * @vb: the device; its queues are open, and it is not ready yet
 *
 * Context: May sleep.
 * Return: 0, -ENOMEM, or the notifier chain's error.
 */
int vb_hint_start(struct vb_device *vb)
{
	if (!vb->hint.wq)
		return 0;
	vb_hint_reset(&vb->hint);
	return vb_kept_start(vb);
}

/**
 * vb_hint_stop() - take no more, and nothing of it runs
 * @vb: the device, stopping
 *
 * Context: May sleep.
 */
void vb_hint_stop(struct vb_device *vb)
{
	if (!vb->hint.shrinker)
		return;
	vb_kept_stop(vb);
	cancel_delayed_work_sync(&vb->hint.work);
}

/**
 * vb_hint_empty() - give everything back, read by the host or not
 * @vb: the device: stopped and reset, its queues still there
 *
 * Context: May sleep.
 */
void vb_hint_empty(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;
	void *token;

	if (!hint->wq)
		return;
	/* A callback may have queued it before the reset. */
	cancel_delayed_work_sync(&hint->work);
	while ((token = vb_hintq_detach(&vb->channel)))
		if (token != &hint->cmd)
			vb_kept_free(token);
	vb_kept_give(vb, ULONG_MAX);
	vb_hint_reset(hint);
}

/**
 * vb_hint_init() - prepare, if the host may ask
 * @vb: the device, its features fixed
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_hint_exit() is due either way.
 */
int vb_hint_init(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;

	spin_lock_init(&hint->lock);
	INIT_LIST_HEAD(&hint->kept);
	INIT_LIST_HEAD(&hint->again);
	INIT_DELAYED_WORK(&hint->work, vb_hint_work);
	if (!virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		return 0;
	/* Of its own: it may take a while, and statistics should not. */
	hint->wq = alloc_workqueue("vballoon-hint", WQ_FREEZABLE |
				   WQ_MEM_RECLAIM | WQ_UNBOUND, 1);
	return hint->wq ? 0 : -ENOMEM;
}

/**
 * vb_hint_exit() - free what vb_hint_init() took
 * @vb: the device, stopped
 *
 * Context: May sleep.
 */
void vb_hint_exit(struct vb_device *vb)
{
	if (vb->hint.wq)
		destroy_workqueue(vb->hint.wq);
}
