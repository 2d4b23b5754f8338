// SPDX-License-Identifier: GPL-2.0
/*
 * vballoon - a guest driver for the virtio memory balloon (virtio device 5)
 *
 * Lifecycle: probe and remove, suspend and resume, shutdown and kexec.
 */
#include <linux/crash_dump.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/slab.h>

#include "vballoon.h"

static void vb_batches_read(struct virtqueue *vq)
{
	struct vb_device *vb = vq->vdev->priv;

	if (vb_channel_reap(&vb->channel))
		vb_worker_answered(&vb->worker);
}

static void vb_stats_read(struct virtqueue *vq)
{
	vb_stats_ask(vq->vdev->priv);
}

static void vb_hint_read(struct virtqueue *vq)
{
	struct vb_device *vb = vq->vdev->priv;

	vb_hint_answered(&vb->hint);
}

/* Called in an interrupt when the host has read a buffer. */
static const struct vb_callbacks vb_callbacks = {
	.batches = vb_batches_read,
	.stats = vb_stats_read,
	.hint = vb_hint_read,
};

static void vb_config_changed(struct virtio_device *vdev)
{
	struct vb_device *vb = vdev->priv;

	set_bit(VB_EVENT_CONFIG, &vb->worker.events);
	vb_worker_kick(&vb->worker);
	vb_hint_config_changed(&vb->hint);
}

/*
 * Begin the conversation with a device whose features are negotiated and whose
 * status is not DRIVER_OK yet.
 */
static int vb_begin(struct vb_device *vb)
{
	int rc;

	rc = vb_virtqueues_open(&vb->channel, &vb_callbacks);
	if (rc) {
		dev_err(&vb->vdev->dev, "no inflate and deflate queue: %d\n", rc);
		return rc;
	}
	rc = vb_oom_start(vb);
	if (rc)
		goto err_channel;
	rc = vb_reclaim_start(&vb->reclaim);
	if (rc)
		goto err_oom;
	vb_poison_tell(vb->vdev);
	virtio_device_ready(vb->vdev);
	/* An earlier driver may have left a value other than 0. */
	virtio_cread_le(vb->vdev, struct virtio_balloon_config, actual,
			&vb->actual);

	vb_state_set(vb, VB_IDLE, VB_LIMIT_NONE);
	WRITE_ONCE(vb->worker.stopping, false);
	vb_stats_ask(vb);
	set_bit(VB_EVENT_CONFIG, &vb->worker.events);
	vb_worker_kick(&vb->worker);
	vb_hint_config_changed(&vb->hint);
	vb_report_start(&vb->report);
	return 0;

err_oom:
	vb_oom_stop(vb);
err_channel:
	virtio_reset_device(vb->vdev);
	vb_channel_abandon(&vb->channel);
	vb_hint_abandon(&vb->hint);
	vb_virtqueues_close(&vb->channel);
	return rc;
}

/* Give every page back to the guest, since the device is reset. */
static void vb_give_back(struct vb_device *vb)
{
	vb_hint_empty(&vb->hint);
	vb_transfer_empty(vb);
}

/*
 * End the conversation, even if the host is silent: once the device is reset,
 * the host holds no page, so all of them may go back to the guest.
 */
static void vb_end(struct vb_device *vb)
{
	if (vb_worker_stopping(&vb->worker))
		return;
	WRITE_ONCE(vb->worker.stopping, true);
	vb_supply_stop(&vb->store);
	cancel_delayed_work_sync(&vb->worker.work);
	/* Not before: the worker may have pages that an OOM must get back. */
	vb_oom_stop(vb);
	vb_reclaim_stop(&vb->reclaim);
	vb_hint_stop(&vb->hint);
	vb_stats_stop(vb);
	vb_migrate_stop(vb);

	vb_worker_write_actual(vb, 0);
	/* A report that begins now fails, since the queues are broken. */
	virtio_break_device(vb->vdev);
	virtio_reset_device(vb->vdev);
	/* A notifier, or an interrupt before the reset, may have queued them again. */
	cancel_delayed_work_sync(&vb->worker.work);
	vb_stats_stop(vb);

	vb_channel_abandon(&vb->channel);
	vb_report_stop(&vb->report);
	vb_hint_abandon(&vb->hint);
	vb_virtqueues_close(&vb->channel);
	vb_migrate_drop(vb);
	/* init_on_free would write each page: the host had to find memory for it. */
	if (!vb->leaving)
		vb_give_back(vb);
	vb_state_set(vb, VB_STOPPED, VB_LIMIT_NONE);
}

static int vb_start(struct vb_device *vb)
{
	int rc = -ESHUTDOWN;

	mutex_lock(&vb->life);
	if (!vb->leaving)
		rc = vb_begin(vb);
	mutex_unlock(&vb->life);
	return rc;
}

static void vb_stop(struct vb_device *vb)
{
	mutex_lock(&vb->life);
	vb_end(vb);
	mutex_unlock(&vb->life);
}

/* Stop for good, before @vb is freed. */
static void vb_quit(struct vb_device *vb)
{
	vb_stop(vb);
	/* vb_stop() does nothing if vb_restore() failed after a suspend. */
	virtio_reset_device(vb->vdev);
	/* The device goes while the machine does: vb_end() has kept the pages. */
	if (vb->leaving)
		vb_give_back(vb);
}

/*
 * Shutdown, reboot or kexec: the device must be reset and stay so, since the
 * next kernel may have no balloon driver.  The pages stay where they are, since
 * no program of this kernel needs them any more.
 */
static int vb_reboot_notify(struct notifier_block *nb, unsigned long action,
			    void *data)
{
	struct vb_device *vb = container_of(nb, struct vb_device, reboot_nb);

	mutex_lock(&vb->life);
	vb->leaving = true;
	vb_end(vb);
	mutex_unlock(&vb->life);
	return NOTIFY_DONE;
}

static void vb_free(struct vb_device *vb)
{
	vb_stats_exit(vb);
	vb_hint_exit(&vb->hint);
	vb_worker_exit(vb);
	vb_transfer_exit(vb);
	vb_migrate_exit(vb);
	vb_channel_exit(&vb->channel);
	kfree(vb);
}

static struct vb_device *vb_alloc(struct virtio_device *vdev)
{
	struct vb_device *vb;

	vb = kzalloc(sizeof(*vb), GFP_KERNEL);
	if (!vb)
		return NULL;
	vb->vdev = vdev;
	vb->worker.stopping = true;
	vb->reboot_nb.notifier_call = vb_reboot_notify;
	mutex_init(&vb->life);
	vb_store_init(&vb->store, !vb_deflates_on_oom(vb));
	vb->channel.engine = vb_engine_choose(vdev);
	vb->transfer.blocks = vb_engine_blocks(vb->channel.engine);
	/* Reported memory needs no deflate before the guest uses it again. */
	vb->store.tells_blocks = vb->channel.engine == VB_ENGINE_PFN;
	vb_reserve_init(vb);
	vb_reclaim_init(&vb->reclaim, &vb->hint);
	vb_report_init(&vb->report, &vb->channel, &vb->worker);

	if (vb_channel_init(&vb->channel, vdev, &vb->counters) ||
	    vb_stats_init(vb) ||
	    vb_hint_init(&vb->hint, &vb->channel, &vb->store, &vb->worker) ||
	    vb_migrate_init(vb) || vb_transfer_init(vb) || vb_worker_init(vb)) {
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
	/*
	 * The target is for the whole guest, of which this kernel has a small
	 * part, and needs that part to save what is in the rest.
	 */
	if (is_kdump_kernel()) {
		dev_info(&vdev->dev, "leaves the balloon alone: this kernel runs to save a crash dump\n");
		return -ENODEV;
	}
	vb = vb_alloc(vdev);
	if (!vb)
		return -ENOMEM;
	vdev->priv = vb;
	/* Before target_bytes in sysfs can be read. */
	vb_worker_read_target(vb);

	rc = vb_sysfs_add(vb);
	if (rc)
		goto err_free;
	rc = register_reboot_notifier(&vb->reboot_nb);
	if (rc)
		goto err_sysfs;
	rc = vb_start(vb);
	if (rc)
		goto err_reboot;
	/* Last: when it begins the conversation again, it must have begun. */
	rc = vb_hibernate_init(vb);
	if (rc)
		goto err_quit;
	return 0;

err_quit:
	vb_quit(vb);
err_reboot:
	unregister_reboot_notifier(&vb->reboot_nb);
err_sysfs:
	vb_sysfs_remove(vb);
err_free:
	vb_free(vb);
	return rc;
}

static void vb_remove(struct virtio_device *vdev)
{
	struct vb_device *vb = vdev->priv;

	vb_hibernate_exit(vb);
	unregister_reboot_notifier(&vb->reboot_nb);
	vb_sysfs_remove(vb);
	vb_quit(vb);
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
	 * A balloon device cannot use the platform's DMA addresses, since PFNs
	 * are guest-physical (virtio 1.3, 5.5.6).  A host that insists on them
	 * refuses these features.
	 */
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		dev_info(&vdev->dev, "declines ACCESS_PLATFORM: a balloon speaks of guest-physical pages\n");
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);
	vb_poison_validate(vdev);
	return 0;
}

/*
 * Hosts may number the queues that they offer rather than those that are
 * negotiated.  Both agree if no queue before the last one in use is declined.
 */
static const unsigned int vb_features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_REPORTING,
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

/* Say how to hand over a balloon that another driver has. */
static int vb_name_holder(struct device *dev, void *unused)
{
	if (dev_to_virtio(dev)->id.device != VIRTIO_ID_BALLOON)
		return 0;
	device_lock(dev);
	if (dev->driver && dev->driver != &vb_driver.driver)
		pr_notice("vballoon: %s has %s; to hand it over: cd /sys/bus/virtio/drivers; echo %s > %s/unbind; echo %s > vballoon/bind\n",
			  dev->driver->name, dev_name(dev), dev_name(dev),
			  dev->driver->name, dev_name(dev));
	device_unlock(dev);
	return 0;
}

static int __init vb_init(void)
{
	int rc = register_virtio_driver(&vb_driver);

	if (!rc)
		bus_for_each_dev(vb_driver.driver.bus, NULL, NULL,
				 vb_name_holder);
	return rc;
}
module_init(vb_init);

static void __exit vb_exit(void)
{
	unregister_virtio_driver(&vb_driver);
}
module_exit(vb_exit);

MODULE_DESCRIPTION("Virtio memory balloon: fast on stock hosts, kind to the guest, visible");
MODULE_AUTHOR("the vballoon authors");
MODULE_LICENSE("GPL");
