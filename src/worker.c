// SPDX-License-Identifier: GPL-2.0
/*
 * The conversation: ask the policy for a goal, move a batch towards the goal,
 * tell the host.  The worker never sleeps for the host: it returns, and the
 * interrupt that follows the host's answer queues it again.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>

#include "vballoon.h"

#include <trace/events/vballoon.h>

/* The worker writes `actual` this often until the balloon is at rest. */
#define VB_ACTUAL_EVERY		HZ
/* The worker checks this often whether the host has fallen silent. */
#define VB_WATCH_EVERY		HZ
/* The worker retries this often while all pages are isolated. */
#define VB_ISOLATED_RETRY	(HZ / 10)

/**
 * vb_worker_read_target() - read the host's target
 * @vb: the device
 *
 * Context: The worker, or while no worker can run.  May sleep.
 */
void vb_worker_read_target(struct vb_device *vb)
{
	u32 target;

	/* Little-endian on legacy devices too (virtio 1.3, 5.5.4). */
	virtio_cread_le(vb->vdev, struct virtio_balloon_config, num_pages,
			&target);
	target = DIV_ROUND_UP_ULL(target, VB_PFNS_PER_PAGE);
	if (target == vb->target)
		return;
	WRITE_ONCE(vb->target, target);
	vb->exchanging = false;
}

/**
 * vb_worker_write_actual() - tell the host how large the balloon is
 * @vb: the device
 * @actual: the size in balloon pages, of 4 KiB
 *
 * Context: The worker, or while no worker can run.  May sleep.
 */
void vb_worker_write_actual(struct vb_device *vb, u32 actual)
{
	if (actual == vb->actual)
		return;
	virtio_cwrite_le(vb->vdev, struct virtio_balloon_config, actual,
			 &actual);
	vb->actual = actual;
	vb->actual_at = jiffies;
	vb_counters_add(&vb->counters, VB_ACTUAL_WRITES, 1);
}

/*
 * Write `actual` when no page moves, and each VB_ACTUAL_EVERY before.  Pages of
 * an unread deflate notice do not count as moving: the guest uses them already.
 * Nor is an exchange a move, but a block more or less for a moment.
 */
static void vb_worker_tell_actual(struct vb_device *vb,
				  const struct vb_goal *goal)
{
	bool rests = !goal->step && !vb->transfer.moving[VB_INFLATE] &&
		     !vb->transfer.moving[VB_DEFLATE];

	if (vb->exchanging)
		return;
	if (rests || time_after(jiffies, vb->actual_at + VB_ACTUAL_EVERY))
		vb_worker_write_actual(vb, vb_store_held(&vb->store) *
					   VB_PFNS_PER_PAGE);
}

static void vb_worker_read_events(struct vb_device *vb)
{
	if (test_and_clear_bit(VB_EVENT_CONFIG, &vb->worker.events))
		vb_worker_read_target(vb);
	if (test_and_clear_bit(VB_EVENT_OOM, &vb->worker.events)) {
		vb_policy_short(&vb->policy, VB_LIMIT_OOM, vb_policy_now());
		vb_transfer_take_back(vb, ULONG_MAX);
	}
}

/* Has the host left any queue unread for too long, the hint queue included? */
static bool vb_worker_host_silent(struct vb_device *vb)
{
	return vb_channel_silent(&vb->channel) || vb_hint_silent(&vb->hint);
}

static struct vb_goal vb_worker_goal(struct vb_device *vb)
{
	struct vb_goal goal;
	u64 blocks;
	struct vb_view view = {
		.now = vb_policy_now(),
		.target = vb->target,
		.held = vb_transfer_held(vb),
		.total = vb_store_total(&vb->store),
		.available = max(si_mem_available(), 0L) +
			     vb_pool_pages(&vb->hint.pool),
		.singles = vb_store_singles(&vb->store),
	};

	/*
	 * An exchange takes memory that the kernel can use for memory that, in a
	 * guest with ZONE_MOVABLE or CMA, only programs may be able to use: the
	 * share of blocks is the limit.
	 */
	blocks = view.held - min(view.held, view.singles);
	if (vb_spare_most(view.held) >= blocks + VB_BLOCK_PAGES)
		view.block = VB_BLOCK_PAGES;
	view.reserve = vb_reserve_pages(vb, view.total);
	view.floor = vb_policy_floor(view.total, PAGE_SHIFT);
	goal = vb_policy_goal(&vb->policy, &view);
	trace_vballoon_goal(vb->vdev->index, &view, &goal);
	return goal;
}

/*
 * Do the most urgent step.  Returns what the step returns (vballoon.h), -EIO
 * for a broken device, or -ENODATA when there is nothing to do.
 */
static int vb_worker_advance(struct vb_device *vb, struct vb_goal *goal)
{
	long due;

	vb_transfer_collect(vb);
	vb_migrate_settle(vb);
	vb_worker_read_events(vb);
	if (vb_channel_broken(&vb->channel))
		return -EIO;

	*goal = vb_worker_goal(vb);
	due = vb_oom_due(vb);
	if (due) {
		goal->step = -due;
		return vb_deflate_step(vb, due, VB_FOR_OOM);
	}
	if (goal->step > 0)
		return vb_inflate_step(vb, goal);
	/* First what costs the host nothing; then the policy looks again. */
	if (goal->step < 0 && !vb->exchanging &&
	    vb_transfer_take_back(vb, -goal->step))
		return 0;
	if (goal->step < 0)
		return vb_deflate_step(vb, -goal->step, VB_FOR_TARGET);
	if (vb_channel_busy(&vb->channel) || vb_migrate_parked(vb) ||
	    vb_worker_host_silent(vb))
		return -EBUSY;
	vb->exchanging = false;
	return -ENODATA;
}

static enum vb_state vb_worker_state(struct vb_device *vb, int rc,
				     const struct vb_goal *goal)
{
	if (rc == -EIO)
		return VB_BROKEN;
	if (vb_worker_host_silent(vb))
		return VB_SILENT;
	if (vb->exchanging)
		return VB_IDLE;
	if (goal->step > 0 || vb->transfer.moving[VB_INFLATE])
		return VB_INFLATING;
	if (goal->step < 0 || vb->transfer.moving[VB_DEFLATE])
		return VB_DEFLATING;
	return goal->limited_by ? VB_LIMITED : VB_IDLE;
}

/*
 * Post and reap what is unsent when no step moved a page.  At low priority
 * without MUST_TELL_HOST: the guest uses the pages of these deflates already,
 * so that no program waits.
 */
static bool vb_worker_pump(struct vb_device *vb)
{
	bool progress;
	int nice;

	nice = vb_must_tell(vb) ? task_nice(current) :
				  vb_transfer_lower_priority();
	progress = vb_channel_pump(&vb->channel);
	progress |= vb_channel_reap(&vb->channel);
	set_user_nice(current, nice);
	return progress;
}

/* Do steps until one makes no progress, or VB_WORK_SLICE has passed. */
static int vb_worker_run(struct vb_device *vb, struct vb_goal *goal)
{
	unsigned long until = jiffies + VB_WORK_SLICE;
	bool progress;
	int rc;

	do {
		cond_resched();
		rc = vb_worker_advance(vb, goal);
		vb_worker_tell_actual(vb, goal);
		progress = !rc;
		if (rc && rc != -EIO)
			progress = vb_worker_pump(vb);
	} while (progress && time_before(jiffies, until) &&
		 !vb_worker_stopping(&vb->worker));
	return progress ? 0 : rc;
}

static void vb_worker_work(struct work_struct *work)
{
	struct vb_device *vb = container_of(to_delayed_work(work),
					    struct vb_device, worker.work);
	struct vb_goal goal = {};
	long delay = -1;
	int rc;

	if (vb_worker_stopping(&vb->worker))
		return;
	WRITE_ONCE(vb->worker.awaits, true);
	rc = vb_worker_run(vb, &goal);
	WRITE_ONCE(vb->worker.awaits, rc != -ENODATA);
	vb_state_set(vb, vb_worker_state(vb, rc, &goal), goal.limited_by);

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
		/* The policy has set a pause: ask how long it is. */
		delay = 0;
		break;
	case -ENODATA:
		if (goal.delay)
			delay = msecs_to_jiffies(goal.delay);
		break;
	case -EIO:
		break;
	}
	/*
	 * mod_delayed_work() would put off a worker that somebody has kicked
	 * meanwhile: queue_delayed_work() does nothing if it is queued.
	 */
	if (delay >= 0 && !vb_worker_stopping(&vb->worker))
		queue_delayed_work(vb->worker.wq, &vb->worker.work, delay);
}

/**
 * vb_worker_init() - prepare the worker
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_worker_exit() is due either way.
 */
int vb_worker_init(struct vb_device *vb)
{
	INIT_DELAYED_WORK(&vb->worker.work, vb_worker_work);
	vb->worker.wq = alloc_workqueue("vballoon", WQ_FREEZABLE | WQ_MEM_RECLAIM |
				 WQ_UNBOUND, 1);
	return vb->worker.wq ? 0 : -ENOMEM;
}

/**
 * vb_worker_exit() - free what vb_worker_init() took
 * @vb: the device, stopped
 *
 * Context: May sleep.
 */
void vb_worker_exit(struct vb_device *vb)
{
	if (vb->worker.wq)
		destroy_workqueue(vb->worker.wq);
}
