// SPDX-License-Identifier: GPL-2.0
/*
 * vballoon - a guest driver for the virtio memory balloon (virtio device 5)
 *
 * Lifecycle and conversation.  Interrupts and notifiers leave a note and kick
 * the worker; the worker asks the policy for a goal, moves a batch towards it,
 * and never waits: when it is the host's turn it returns, and an
 * acknowledgement brings it back.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/oom.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>

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

/* Given back each time the guest has run out of memory: 4 MiB. */
#define VB_OOM_PAGES		((4UL << 20) >> PAGE_SHIFT)
#define VB_OOM_PRIORITY		80
#define VB_OOM_WAIT		HZ

static u64 vb_reserve_param;

/* "auto", or bytes with an optional suffix. */
static int vb_parse_reserve(const char *text, u64 *reserve)
{
	char buf[32];
	char *end, *trimmed;

	if (strscpy(buf, text, sizeof(buf)) < 0)
		return -EINVAL;
	trimmed = strim(buf);
	if (!strcmp(trimmed, "auto")) {
		*reserve = 0;
		return 0;
	}
	if (!isdigit(*trimmed))
		return -EINVAL;
	*reserve = memparse(trimmed, &end);
	return *end || !*reserve ? -EINVAL : 0;
}

static int vb_reserve_set(const char *val, const struct kernel_param *kp)
{
	int rc = vb_parse_reserve(val, &vb_reserve_param);

	if (rc)
		pr_err("reserve=%s: not a size; give bytes with an optional K, M or G, or auto\n",
		       val);
	return rc;
}

static int vb_reserve_get(char *buffer, const struct kernel_param *kp)
{
	if (!vb_reserve_param)
		return sysfs_emit(buffer, "auto\n");
	return sysfs_emit(buffer, "%llu\n", vb_reserve_param);
}

static const struct kernel_param_ops vb_reserve_ops = {
	.set = vb_reserve_set,
	.get = vb_reserve_get,
};
module_param_cb(reserve, &vb_reserve_ops, NULL, 0444);
MODULE_PARM_DESC(reserve, "memory that the guest keeps whatever the host asks for: bytes with K, M or G, or auto (1/32, at least 64M)");

static u64 vb_now(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

/**
 * vb_total_pages() - the memory of the guest with an empty balloon
 * @vb: the device
 *
 * Return: guest pages.
 */
u64 vb_total_pages(struct vb_device *vb)
{
	u64 total = totalram_pages();

	if (vb->store.adjust)
		total += vb_store_held(&vb->store);
	return total;
}

/**
 * vb_reserve_pages() - the reservation in force
 * @vb: the device
 * @total: from vb_total_pages()
 *
 * Return: guest pages.
 */
u64 vb_reserve_pages(struct vb_device *vb, u64 total)
{
	u64 reserve = READ_ONCE(vb->reserve);

	if (!reserve)
		return vb_policy_reserve(total, PAGE_SHIFT);
	return DIV_ROUND_UP_ULL(reserve, PAGE_SIZE);
}

/**
 * vb_set_reserve() - set the reservation
 * @vb: the device
 * @text: bytes with an optional K, M or G, or "auto"
 *
 * A larger one does not deflate the balloon; it stops an inflation.
 *
 * Context: Process context.
 * Return: 0, -EINVAL for what is no size, -ERANGE for more than the guest has.
 */
int vb_set_reserve(struct vb_device *vb, const char *text)
{
	u64 reserve;
	int rc;

	rc = vb_parse_reserve(text, &reserve);
	if (rc)
		return rc;
	if (reserve >> PAGE_SHIFT > vb_total_pages(vb))
		return -ERANGE;
	WRITE_ONCE(vb->reserve, reserve);
	vb_kick_worker(vb);
	return 0;
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

static void vb_read_target(struct vb_device *vb)
{
	u32 target;

	/* Little-endian on legacy devices too (virtio 1.3, 5.5.4). */
	virtio_cread_le(vb->vdev, struct virtio_balloon_config, num_pages,
			&target);
	target = DIV_ROUND_UP_ULL(target, VB_PFNS_PER_PAGE);
	if (target == vb->target)
		return;
	WRITE_ONCE(vb->target, target);
	vb->complained = VB_LIMIT_NONE;
}

static void vb_write_actual(struct vb_device *vb, u32 actual)
{
	if (actual == vb->actual)
		return;
	virtio_cwrite_le(vb->vdev, struct virtio_balloon_config, actual,
			 &actual);
	vb->actual = actual;
	vb->actual_at = jiffies;
	vb_count(vb, VB_ACTUAL_WRITES, 1);
}

static void vb_tell_actual(struct vb_device *vb, bool settled)
{
	if (settled || time_after(jiffies, vb->actual_at + VB_ACTUAL_EVERY))
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
	vb->moving[op] += batch->nr / VB_PFNS_PER_PAGE;
	vb_channel_send(vb, batch);
	vb_channel_pump(vb);
	vb_channel_reap(vb);
}

static void vb_moved(struct vb_device *vb, enum vb_op op, unsigned long nr)
{
	vb_count(vb, op == VB_INFLATE ? VB_INFLATED : VB_DEFLATED, nr);
	trace_vballoon_moved(vb->vdev->index, op == VB_INFLATE, nr);
}

/* Finish what the host has acknowledged. */
static void vb_collect(struct vb_device *vb)
{
	struct vb_batch *batch;
	unsigned long nr;

	while ((batch = vb_channel_acked(vb))) {
		nr = batch->nr / VB_PFNS_PER_PAGE;
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
static int vb_inflate(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *batch;

	if (vb_channel_advising(vb))
		return -EBUSY;
	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;

	nr = min_t(unsigned long, nr, VB_BATCH_PFNS / VB_PFNS_PER_PAGE);
	vb_store_prepare(&vb->store, batch, nr);
	if (batch->nr < nr * VB_PFNS_PER_PAGE) {
		vb_policy_short(&vb->policy, VB_LIMIT_MEMORY, vb_now());
		vb_count(vb, VB_SHORTAGES, 1);
	} else {
		vb_policy_fed(&vb->policy);
	}
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

/* Give pages back to the guest at once; the host hears of it later. */
static unsigned long vb_release(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *advice;

	vb_channel_release_begin(vb);
	nr = vb_store_release(&vb->store, nr, &advice);
	if (advice)
		vb_channel_send(vb, advice);
	vb_channel_release_end(vb);
	vb_moved(vb, VB_DEFLATE, nr);
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
	};

	view.reserve = vb_reserve_pages(vb, view.total);
	goal = vb_policy_goal(&vb->policy, &view);
	trace_vballoon_goal(vb->vdev->index, &view, &goal);
	return goal;
}

static int vb_advance(struct vb_device *vb, struct vb_goal *goal)
{
	unsigned long wanted;

	vb_collect(vb);
	vb_events(vb);
	if (vb_channel_broken(vb))
		return -EIO;

	wanted = atomic_long_xchg(&vb->oom_wanted, 0);
	if (wanted)
		return vb_deflate(vb, wanted);

	*goal = vb_goal(vb);
	if (goal->step > 0)
		return vb_inflate(vb, goal->step);
	if (goal->step < 0)
		return vb_deflate(vb, -goal->step);
	return vb_channel_busy(vb) ? -EBUSY : -ENODATA;
}

static enum vb_state vb_state(struct vb_device *vb, int rc,
			      const struct vb_goal *goal)
{
	if (rc == -EIO)
		return VB_BROKEN;
	if (vb_channel_silent(vb))
		return VB_SILENT;
	if (goal->step > 0 || vb->moving[VB_INFLATE])
		return VB_INFLATING;
	if (goal->step < 0 || vb->moving[VB_DEFLATE])
		return VB_DEFLATING;
	return goal->limited_by ? VB_LIMITED : VB_IDLE;
}

static const char *const vb_reasons[] = {
	[VB_LIMIT_RESERVE] = "its memory is at the reservation",
	[VB_LIMIT_MEMORY] = "too little memory is available",
	[VB_LIMIT_OOM] = "it ran out of memory a short while ago",
};

/* The one setter of the state, and the one place that speaks of it. */
static void vb_set_state(struct vb_device *vb, enum vb_state state,
			 enum vb_limit limit)
{
	struct device *dev = &vb->vdev->dev;
	enum vb_state before = vb->state;

	if (state == VB_SILENT || state == VB_BROKEN)
		limit = VB_LIMIT_HOST;
	WRITE_ONCE(vb->state, state);
	WRITE_ONCE(vb->limited_by, limit);

	if (state == VB_SILENT && before != VB_SILENT) {
		vb_count(vb, VB_SILENCES, 1);
		dev_warn(dev, "the host has not answered for %u s\n",
			 (unsigned int)(VB_SILENT_AFTER / HZ));
	} else if (state != VB_SILENT && before == VB_SILENT) {
		dev_info(dev, "the host is no longer waited for\n");
	}
	if (state == VB_BROKEN && before != VB_BROKEN)
		dev_err(dev, "the device broke its protocol; nothing moves until it is bound again\n");

	if (limit == VB_LIMIT_NONE || limit == VB_LIMIT_HOST ||
	    limit == vb->complained)
		return;
	vb->complained = limit;
	dev_info(dev, "stops at %lu MiB of the %lu MiB that the host wants from this guest: %s\n",
		 vb_store_held(&vb->store) >> (20 - PAGE_SHIFT),
		 vb->target >> (20 - PAGE_SHIFT), vb_reasons[limit]);
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
		vb_tell_actual(vb, false);
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
	rc = vb_run(vb, &goal);
	vb_set_state(vb, vb_state(vb, rc, &goal), goal.limited_by);

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
		vb_tell_actual(vb, true);
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

static void vb_stats_work(struct work_struct *work)
{
	vb_channel_stats(container_of(work, struct vb_device, stats_work));
}

static void vb_config_changed(struct virtio_device *vdev)
{
	struct vb_device *vb = vdev->priv;

	set_bit(VB_PENDING_CONFIG, &vb->pending);
	vb_kick_worker(vb);
}

/* Under MUST_TELL_HOST memory is only back when the host knows: wait a bit. */
static unsigned long vb_oom_ask(struct vb_device *vb)
{
	long before = atomic_long_read(&vb->oom_given);

	if (!vb_store_held(&vb->store) || vb_channel_silent(vb))
		return 0;
	atomic_long_set(&vb->oom_wanted, VB_OOM_PAGES);
	vb_kick_worker(vb);
	wait_event_timeout(vb->oom_wait,
			   atomic_long_read(&vb->oom_given) != before ||
			   READ_ONCE(vb->stopping), VB_OOM_WAIT);
	return atomic_long_read(&vb->oom_given) - before;
}

static unsigned long vb_oom_release(struct vb_device *vb)
{
	unsigned long freed = 0;
	unsigned long nr;

	while (freed < VB_OOM_PAGES) {
		nr = vb_release(vb, VB_OOM_PAGES - freed);
		if (!nr)
			break;
		freed += nr;
	}
	return freed;
}

static int vb_oom_notify(struct notifier_block *nb, unsigned long unused,
			 void *parm)
{
	struct vb_device *vb = container_of(nb, struct vb_device, oom_nb);
	unsigned long *total = parm;
	unsigned long freed;

	set_bit(VB_PENDING_OOM, &vb->pending);
	freed = vb_must_tell(vb) ? vb_oom_ask(vb) : vb_oom_release(vb);
	vb_count(vb, VB_OOM_PAGES, freed);
	vb_kick_worker(vb);
	*total += freed;
	return NOTIFY_OK;
}

static bool vb_deflates_on_oom(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/*
 * Start the conversation.  The device has agreed on features, and its status
 * does not say DRIVER_OK yet.
 */
static int vb_start(struct vb_device *vb)
{
	int rc;

	rc = vb_channel_open(vb);
	if (rc) {
		dev_err(&vb->vdev->dev, "no inflate and deflate queue: %d\n", rc);
		return rc;
	}
	if (vb_deflates_on_oom(vb)) {
		rc = register_oom_notifier(&vb->oom_nb);
		if (rc) {
			virtio_reset_device(vb->vdev);
			vb_channel_close(vb);
			return rc;
		}
	}
	WRITE_ONCE(vb->stopping, false);
	vb->state = VB_IDLE;
	virtio_device_ready(vb->vdev);
	/* Left by a driver before us, or by ourselves before a suspend. */
	virtio_cread_le(vb->vdev, struct virtio_balloon_config, actual,
			&vb->actual);
	vb_channel_stats(vb);
	set_bit(VB_PENDING_CONFIG, &vb->pending);
	vb_kick_worker(vb);
	return 0;
}

/*
 * End the conversation, whatever the host does or does not: after the reset it
 * holds no page, so all go back to the guest.
 */
static void vb_stop(struct vb_device *vb)
{
	unsigned int i;

	if (READ_ONCE(vb->stopping))
		return;
	WRITE_ONCE(vb->stopping, true);
	wake_up(&vb->oom_wait);
	if (vb_deflates_on_oom(vb))
		unregister_oom_notifier(&vb->oom_nb);
	cancel_delayed_work_sync(&vb->work);
	cancel_work_sync(&vb->stats_work);
	vb_migrate_stop(vb);

	vb_write_actual(vb, 0);
	virtio_reset_device(vb->vdev);
	/* A callback may have queued them before the reset. */
	cancel_delayed_work_sync(&vb->work);
	cancel_work_sync(&vb->stats_work);

	vb_channel_close(vb);
	vb_migrate_drop(vb);
	INIT_LIST_HEAD(&vb->idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb_store_abort(vb->batches[i]);
		vb_idle_put(vb, vb->batches[i]);
	}
	memset(vb->moving, 0, sizeof(vb->moving));
	vb_store_empty(&vb->store);
	WRITE_ONCE(vb->state, VB_STOPPED);
	WRITE_ONCE(vb->limited_by, VB_LIMIT_NONE);
}

static int vb_reboot_notify(struct notifier_block *nb, unsigned long action,
			    void *data)
{
	vb_stop(container_of(nb, struct vb_device, reboot_nb));
	return NOTIFY_DONE;
}

static int vb_alloc_batches(struct vb_device *vb)
{
	unsigned int i;

	INIT_LIST_HEAD(&vb->idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb->batches[i] = vb_batch_alloc(VB_KIND_PAGES, VB_BATCH_PFNS);
		if (!vb->batches[i])
			return -ENOMEM;
		vb_idle_put(vb, vb->batches[i]);
	}
	return 0;
}

static void vb_free(struct vb_device *vb)
{
	unsigned int i;

	for (i = 0; i < VB_NR_BATCHES; i++)
		vb_batch_free(vb->batches[i]);
	if (vb->stats_wq)
		destroy_workqueue(vb->stats_wq);
	if (vb->wq)
		destroy_workqueue(vb->wq);
	vb_migrate_exit(vb);
	vb_channel_exit(vb);
	kfree(vb);
}

static struct vb_device *vb_alloc(struct virtio_device *vdev)
{
	struct vb_device *vb;

	vb = kzalloc(sizeof(*vb), GFP_KERNEL);
	if (!vb)
		return NULL;
	vb->vdev = vdev;
	vb->stopping = true;
	vb->reserve = vb_reserve_param;
	vb->oom_nb.notifier_call = vb_oom_notify;
	vb->oom_nb.priority = VB_OOM_PRIORITY;
	vb->reboot_nb.notifier_call = vb_reboot_notify;
	init_waitqueue_head(&vb->oom_wait);
	INIT_DELAYED_WORK(&vb->work, vb_work);
	INIT_WORK(&vb->stats_work, vb_stats_work);
	vb_store_init(&vb->store, !vb_deflates_on_oom(vb));

	/* Both have rescuers: they work for memory reclaim. */
	vb->wq = alloc_workqueue("vballoon", WQ_FREEZABLE | WQ_MEM_RECLAIM |
				 WQ_UNBOUND, 1);
	vb->stats_wq = alloc_workqueue("vballoon-stats", WQ_FREEZABLE |
				       WQ_MEM_RECLAIM | WQ_UNBOUND |
				       WQ_HIGHPRI, 1);
	if (!vb->wq || !vb->stats_wq || vb_channel_init(vb) ||
	    vb_migrate_init(vb) || vb_alloc_batches(vb)) {
		vb_free(vb);
		return NULL;
	}
	return vb;
}

static int vb_probe(struct virtio_device *vdev)
{
	struct vb_device *vb;
	int rc;

	if (!vdev->config->get) {
		dev_err(&vdev->dev, "the transport has no config space\n");
		return -EINVAL;
	}
	vb = vb_alloc(vdev);
	if (!vb)
		return -ENOMEM;
	vdev->priv = vb;

	rc = vb_start(vb);
	if (rc)
		goto err_free;
	rc = vb_sysfs_add(vb);
	if (rc)
		goto err_stop;
	rc = register_reboot_notifier(&vb->reboot_nb);
	if (rc)
		goto err_sysfs;
	return 0;

err_sysfs:
	vb_sysfs_remove(vb);
err_stop:
	vb_stop(vb);
err_free:
	vb_free(vb);
	return rc;
}

static void vb_remove(struct virtio_device *vdev)
{
	struct vb_device *vb = vdev->priv;

	unregister_reboot_notifier(&vb->reboot_nb);
	vb_sysfs_remove(vb);
	vb_stop(vb);
	vb_free(vb);
}

#ifdef CONFIG_PM_SLEEP
static int vb_freeze(struct virtio_device *vdev)
{
	vb_stop(vdev->priv);
	return 0;
}

static int vb_restore(struct virtio_device *vdev)
{
	return vb_start(vdev->priv);
}
#endif

static int vb_validate(struct virtio_device *vdev)
{
	/*
	 * PFNs are guest-physical whatever stands between the device and
	 * memory (virtio 1.3, 5.5.6).  A host that insists will say so.
	 */
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		dev_info(&vdev->dev, "declines ACCESS_PLATFORM: a balloon speaks of guest-physical pages\n");
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);
	return 0;
}

/*
 * Every queue that is offered before the last one in use must be negotiated,
 * since hosts and drivers number them differently: statistics is the last.
 */
static const unsigned int vb_features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
};

static const struct virtio_device_id vb_ids[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, vb_ids);

static struct virtio_driver vb_driver = {
	.feature_table = vb_features,
	.feature_table_size = ARRAY_SIZE(vb_features),
	.driver.name = "vballoon",
	.driver.owner = THIS_MODULE,
	.id_table = vb_ids,
	.validate = vb_validate,
	.probe = vb_probe,
	.remove = vb_remove,
	.config_changed = vb_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = vb_freeze,
	.restore = vb_restore,
#endif
};
module_virtio_driver(vb_driver);

MODULE_DESCRIPTION("Virtio memory balloon: fast on stock hosts, kind to the guest, visible");
MODULE_AUTHOR("the vballoon authors");
MODULE_LICENSE("GPL");
