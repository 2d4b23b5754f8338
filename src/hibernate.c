// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernation.  The kernel counts what is free, and allocates its image, before
 * it suspends a device; so does the kernel that loads an image.  What is in the
 * balloon would be missing then, and an inflation would be in the way.  So the
 * driver lets go of the device before that, as for a suspend, and begins again
 * afterwards.
 */
#include <linux/suspend.h>

#include "vballoon.h"

static int vb_hibernate_notify(struct notifier_block *nb, unsigned long action,
			       void *data)
{
	struct vb_device *vb = container_of(nb, struct vb_device, hibernate_nb);

	switch (action) {
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		/* No answer of the host is needed: the device is reset. */
		return notifier_from_errno(virtio_device_freeze(vb->vdev));
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		/* If devices were suspended, the transport has begun again. */
		if (vb_worker_stopping(&vb->worker) &&
		    virtio_device_restore(vb->vdev))
			dev_err(&vb->vdev->dev, "cannot begin again after a hibernation; unbind and bind the device\n");
		return NOTIFY_OK;
	default:
		return NOTIFY_DONE;
	}
}

/**
 * vb_hibernate_init() - register the notifier
 * @vb: the device; the conversation has begun
 *
 * Context: May sleep.
 * Return: 0, or the notifier chain's error.
 */
int vb_hibernate_init(struct vb_device *vb)
{
	vb->hibernate_nb.notifier_call = vb_hibernate_notify;
	return register_pm_notifier(&vb->hibernate_nb);
}

/**
 * vb_hibernate_exit() - unregister the notifier; it does not run afterwards
 * @vb: the device
 *
 * Context: May sleep.
 */
void vb_hibernate_exit(struct vb_device *vb)
{
	unregister_pm_notifier(&vb->hibernate_nb);
}
