// SPDX-License-Identifier: GPL-2.0
/*
 * The conversation: ask the policy for a goal, move a batch towards it, tell
 * the host.  The worker never waits: when it is the host's turn it returns,
 * and an acknowledgment brings it back.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "vballoon.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vballoon.h>

/* `actual` is written when a goal is reached, and this often on the way. */
#define VB_ACTUAL_EVERY		HZ
/* While the host has something to do, look after it this often. */
#define VB_WATCH_EVERY		HZ
/* All pages that are left are isolated for migration: look again. */
#define VB_ISOLATED_RETRY	(HZ / 10)
/* The worker makes way for the freezer and others this often. */
#define VB_WORK_SLICE		(HZ / 10)

static u64 vb_now(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

/**
 * vb_kick_worker() - let the worker run now
 * @vb: the device
 *
 * Context: Any.
 */
void vb_kick_worker(struct vb_device *vb)
{
	if (!READ_ONCE(vb->stopping))
		mod_delayed_work(vb->wq, &vb->work, 0);
}

/**
 * vb_host_answered() - the host has read something
 * @vb: the device
 *
 * The worker runs if it waits for that: not for each page that the kernel
 * moves while the balloon rests.
 *
 * Context: Any.
 */
void vb_host_answered(struct vb_device *vb)
{
	if (READ_ONCE(vb->awaits))
		vb_kick_worker(vb);
}

/**
 * vb_read_target() - read what the host wants
 * @vb: the device
 *
 * Context: The worker, or before it can run.  May sleep.
 */
void vb_read_target(struct vb_device *vb)
{
	u32 target;

	/* Little-endian on legacy devices too (virtio 1.3, 5.5.4). */
	virtio_cread_le(vb->vdev, struct virtio_balloon_config, num_pages,
			&target);
	target = DIV_ROUND_UP_ULL(target, VB_PFNS_PER_PAGE);
	if (target == vb->target)
		return;
	WRITE_ONCE(vb->target, target);
	vb->complained = 0;
	vb->exchanging = false;
}

/**
 * vb_write_actual() - tell the host how large the balloon is
 * @vb: the device
 * @actual: balloon pages
 *
 * Context: The worker, or when it is gone.  May sleep.
 */
void vb_write_actual(struct vb_device *vb, u32 actual)
{
	if (actual == vb->actual)
		return;
	virtio_cwrite_le(vb->vdev, struct virtio_balloon_config, actual,
			 &actual);
	vb->actual = actual;
	vb->actual_at = jiffies;
	vb_count(vb, VB_ACTUAL_WRITES, 1);
}

/*
 * At once when the balloon rests; advice that the host has yet to read is no
 * reason to wait, since the guest has its pages.
 */
static void vb_tell_actual(struct vb_device *vb, const struct vb_goal *goal)
{
	bool rests = !goal->step && !vb->moving[VB_INFLATE] &&
		     !vb->moving[VB_DEFLATE];

	if (rests || time_after(jiffies, vb->actual_at + VB_ACTUAL_EVERY))
		vb_write_actual(vb, vb_store_held(&vb->store) * VB_PFNS_PER_PAGE);
}

static struct vb_batch *vb_idle_get(struct vb_device *vb)
{
	struct vb_batch *batch;

	batch = list_first_entry_or_null(&vb->idle, struct vb_batch, node);
	if (batch)
		list_del_init(&batch->node);
	return batch;
}

static void vb_idle_put(struct vb_device *vb, struct vb_batch *batch)
{
	list_add(&batch->node, &vb->idle);
}

static void vb_send(struct vb_device *vb, struct vb_batch *batch, enum vb_op op)
{
	batch->op = op;
	vb->moving[op] += vb_batch_pages(batch);
	vb_channel_send(vb, batch);
	vb_channel_pump(vb);
	vb_channel_reap(vb);
}

static void vb_moved(struct vb_device *vb, enum vb_op op, unsigned long nr)
{
	if (!nr)
		return;
	vb_count(vb, op == VB_INFLATE ? VB_INFLATED : VB_DEFLATED, nr);
	trace_vballoon_moved(vb->vdev->index, op == VB_INFLATE, nr);
}

/* Finish what the host has acknowledged. */
static void vb_collect(struct vb_device *vb)
{
	struct vb_batch *batch;
	unsigned long nr;

	while ((batch = vb_channel_acked(vb))) {
		nr = vb_batch_pages(batch);
		vb->moving[batch->op] -= nr;
		if (batch->op == VB_INFLATE) {
			vb_store_commit(&vb->store, batch);
		} else {
			vb_store_abort(batch);
			atomic_long_add(nr, &vb->oom_given);
			wake_up(&vb->oom_wait);
		}
		vb_moved(vb, batch->op, nr);
		vb_idle_put(vb, batch);
	}
	vb_migrate_settle(vb);
}

/*
 * The steps below and vb_advance() return
 *   0		something moved: ask for the next goal
 *   -EBUSY	it is the host's turn
 *   -ENOMEM	the guest could not give a page: the policy knows
 *   -EAGAIN	no page can leave the balloon just now: all are being migrated
 *   -ENODATA	nothing to do
 *   -EIO	the device is broken
 */
static void vb_fill(struct vb_device *vb, struct vb_batch *batch,
		    unsigned long nr)
{
	unsigned long blocks = nr / VB_BLOCK_PAGES;

	vb_block_prepare(&vb->store, batch,
			 min_t(unsigned long, blocks, vb->block_batch));
	if (batch->nr) {
		vb_policy_fed(&vb->policy);
		return;
	}
	nr = min_t(unsigned long, nr, VB_BATCH_PFNS / VB_PFNS_PER_PAGE);
	vb_store_prepare(&vb->store, batch, nr);
	if (batch->nr < nr) {
		vb_policy_short(&vb->policy, VB_LIMIT_MEMORY, vb_now());
		vb_count(vb, VB_SHORTAGES, 1);
	} else {
		vb_policy_fed(&vb->policy);
	}
}

/* One block too many, for which single pages will leave. */
static void vb_fill_exchange(struct vb_device *vb, struct vb_batch *batch)
{
	vb_block_prepare(&vb->store, batch, 1);
	vb->exchanging = batch->nr;
	vb_policy_exchanged(&vb->policy, batch->nr, vb_now());
	vb_count(vb, VB_EXCHANGED, vb_batch_pages(batch));
}

static int vb_inflate(struct vb_device *vb, const struct vb_goal *goal)
{
	unsigned long nr;
	struct vb_batch *batch;

	if (vb_channel_advising(vb))
		return -EBUSY;
	/* The last batch is for the way back, which may be urgent. */
	if (vb_must_tell(vb) && list_is_singular(&vb->idle))
		return -EBUSY;
	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;

	if (goal->exchange)
		vb_fill_exchange(vb, batch);
	else
		vb_fill(vb, batch, goal->step);
	/* Again: one of these pages may have left the balloon just now. */
	if (!batch->nr || vb_channel_advising(vb)) {
		nr = batch->nr;
		vb_store_abort(batch);
		vb_idle_put(vb, batch);
		return nr ? -EBUSY : -ENOMEM;
	}
	vb_send(vb, batch, VB_INFLATE);
	return 0;
}

static void vb_advise(struct vb_device *vb, struct vb_batch *advice,
		      unsigned long nr)
{
	if (advice)
		vb_channel_send(vb, advice);
	vb_channel_release_end(vb);
	vb_moved(vb, VB_DEFLATE, nr);
}

/**
 * vb_release() - give pages back to the guest at once
 * @vb: the device, without MUST_TELL_HOST
 * @nr: guest pages wanted
 *
 * The host hears of it when the worker runs next.  Allocates nothing.
 *
 * Context: Process context, also when memory has run out.
 * Return: guest pages given back.
 */
unsigned long vb_release(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *advice;

	vb_channel_release_begin(vb);
	nr = vb_store_release(&vb->store, nr, &advice);
	vb_advise(vb, advice, nr);
	return nr;
}

static int vb_deflate(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *batch;

	/* What is on its way in has to arrive before it can leave. */
	nr = min(nr, vb_store_held(&vb->store));
	if (!nr)
		return -EBUSY;
	if (!vb_must_tell(vb))
		return vb_release(vb, nr) ? 0 : -EAGAIN;

	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;
	vb_store_take(&vb->store, batch, nr);
	if (!batch->nr) {
		vb_idle_put(vb, batch);
		return -EAGAIN;
	}
	vb_send(vb, batch, VB_DEFLATE);
	return 0;
}

/* Blocks may not stay where memory goes offline. */
static int vb_evict(struct vb_device *vb, const struct vb_range *range)
{
	struct vb_batch *batch;
	unsigned long nr;
	int i;

	if (!vb_block_within(&vb->store, range)) {
		for (i = 0; i < VB_NR_BATCHES; i++)
			if (vb_batch_overlaps(vb->batches[i], range))
				return -EBUSY;
		vb_offline_done(vb);
		return 0;
	}
	if (!vb_must_tell(vb)) {
		vb_channel_release_begin(vb);
		nr = vb_block_release(&vb->store, ULONG_MAX, range, &batch);
		vb_advise(vb, batch, nr);
		return 0;
	}
	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;
	vb_block_take(&vb->store, batch, ULONG_MAX, range);
	vb_send(vb, batch, VB_DEFLATE);
	return 0;
}

static void vb_events(struct vb_device *vb)
{
	if (test_and_clear_bit(VB_PENDING_CONFIG, &vb->pending))
		vb_read_target(vb);
	if (test_and_clear_bit(VB_PENDING_OOM, &vb->pending))
		vb_policy_short(&vb->policy, VB_LIMIT_OOM, vb_now());
}

static struct vb_goal vb_goal(struct vb_device *vb)
{
	struct vb_goal goal;
	struct vb_view view = {
		.now = vb_now(),
		.target = vb->target,
		.held = vb_store_held(&vb->store) + vb->moving[VB_INFLATE],
		.total = vb_total_pages(vb),
		.available = max(si_mem_available(), 0L),
		.singles = vb_store_singles(&vb->store),
		.block = VB_BLOCK_PAGES,
	};

	view.reserve = vb_reserve_pages(vb, view.total);
	view.floor = vb_policy_floor(view.total, PAGE_SHIFT);
	goal = vb_policy_goal(&vb->policy, &view);
	trace_vballoon_goal(vb->vdev->index, &view, &goal);
	return goal;
}

static int vb_advance(struct vb_device *vb, struct vb_goal *goal)
{
	struct vb_range range;
	long wanted;
	int rc;

	vb_collect(vb);
	vb_events(vb);
	if (vb_channel_broken(vb))
		return -EIO;
	if (vb_offline_range(vb, &range))
		return vb_evict(vb, &range);

	*goal = vb_goal(vb);
	wanted = atomic_long_read(&vb->oom_wanted);
	if (wanted) {
		goal->step = -wanted;
		rc = vb_deflate(vb, wanted);
		if (!rc)
			atomic_long_set(&vb->oom_wanted, 0);
		return rc;
	}
	if (goal->step > 0)
		return vb_inflate(vb, goal);
	if (goal->step < 0)
		return vb_deflate(vb, -goal->step);
	if (vb_channel_busy(vb) || vb_migrate_parked(vb))
		return -EBUSY;
	vb->exchanging = false;
	return -ENODATA;
}

static enum vb_state vb_state(struct vb_device *vb, int rc,
			      const struct vb_goal *goal)
{
	if (rc == -EIO)
		return VB_BROKEN;
	if (vb_channel_silent(vb))
		return VB_SILENT;
	if (vb->exchanging)
		return VB_IDLE;
	if (goal->step > 0 || vb->moving[VB_INFLATE])
		return VB_INFLATING;
	if (goal->step < 0 || vb->moving[VB_DEFLATE])
		return VB_DEFLATING;
	return goal->limited_by ? VB_LIMITED : VB_IDLE;
}

/* Move until there is nothing to do, the host's turn, or time for others. */
static int vb_run(struct vb_device *vb, struct vb_goal *goal)
{
	unsigned long until = jiffies + VB_WORK_SLICE;
	bool progress;
	int rc;

	do {
		cond_resched();
		rc = vb_advance(vb, goal);
		vb_tell_actual(vb, goal);
		progress = !rc;
		/* The host hears of a deflation when the guest has its pages. */
		if (rc && rc != -EIO) {
			progress = vb_channel_pump(vb);
			progress |= vb_channel_reap(vb);
		}
	} while (progress && time_before(jiffies, until) &&
		 !READ_ONCE(vb->stopping));
	return progress ? 0 : rc;
}

static void vb_work(struct work_struct *work)
{
	struct vb_device *vb = container_of(to_delayed_work(work),
					    struct vb_device, work);
	struct vb_goal goal = {};
	long delay = -1;
	int rc;

	if (READ_ONCE(vb->stopping))
		return;
	WRITE_ONCE(vb->awaits, true);
	rc = vb_run(vb, &goal);
	WRITE_ONCE(vb->awaits, rc != -ENODATA);
	vb_state_set(vb, vb_state(vb, rc, &goal), goal.limited_by);

	switch (rc) {
	case 0:
		delay = 0;
		break;
	case -EBUSY:
		delay = VB_WATCH_EVERY;
		break;
	case -EAGAIN:
		delay = VB_ISOLATED_RETRY;
		break;
	case -ENOMEM:
		/* The policy has set a pause; the next round finds it. */
		delay = 0;
		break;
	case -ENODATA:
		if (goal.delay)
			delay = msecs_to_jiffies(goal.delay);
		break;
	case -EIO:
		break;
	}
	/* Not mod_: who kicked the worker meanwhile wants it now. */
	if (delay >= 0 && !READ_ONCE(vb->stopping))
		queue_delayed_work(vb->wq, &vb->work, delay);
}

/**
 * vb_worker_init() - prepare the worker and its batches
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_worker_exit() is due either way.
 */
int vb_worker_init(struct vb_device *vb)
{
	unsigned int i;

	INIT_DELAYED_WORK(&vb->work, vb_work);
	INIT_LIST_HEAD(&vb->idle);
	vb->wq = alloc_workqueue("vballoon", WQ_FREEZABLE | WQ_MEM_RECLAIM |
				 WQ_UNBOUND, 1);
	if (!vb->wq)
		return -ENOMEM;
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb->batches[i] = vb_batch_alloc(VB_KIND_PAGES, VB_BATCH_PFNS);
		if (!vb->batches[i])
			return -ENOMEM;
		vb_idle_put(vb, vb->batches[i]);
	}
	return 0;
}

/**
 * vb_worker_empty() - give everything back, in the balloon or on its way
 * @vb: the device: stopped and reset, so that no host holds a page
 *
 * Context: May sleep.
 */
void vb_worker_empty(struct vb_device *vb)
{
	unsigned int i;

	INIT_LIST_HEAD(&vb->idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb_store_abort(vb->batches[i]);
		vb_idle_put(vb, vb->batches[i]);
	}
	vb_count(vb, VB_DEFLATED,
		 vb_store_held(&vb->store) + vb->moving[VB_DEFLATE]);
	memset(vb->moving, 0, sizeof(vb->moving));
	vb_store_empty(&vb->store);
}

/**
 * vb_worker_exit() - free what vb_worker_init() took
 * @vb: the device, its balloon empty
 */
void vb_worker_exit(struct vb_device *vb)
{
	unsigned int i;

	for (i = 0; i < VB_NR_BATCHES; i++)
		vb_batch_free(vb->batches[i]);
	if (vb->wq)
		destroy_workqueue(vb->wq);
}
