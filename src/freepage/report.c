// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: the kernel finds free memory that the host has not
 * heard of, and hands it to us.  It stays the guest's; the host may replace it
 * by nothing until it is used.
 */
#include <linux/scatterlist.h>

#include "vballoon.h"

/*
 * Tell the host of free pages and wait until it has read that.  Free pages are
 * nobody's while the host has them, so the wait ends when the host has answered
 * or was reset (vb_channel_abandon()), and not before.
 */
static int vb_report_wait(struct vb_device *vb, struct vb_batch *batch)
{
	if (!vb_channel_send(&vb->channel, batch))
		return -ENODEV;
	for (;;) {
		/* Again, if there was no room: the worker may be frozen. */
		vb_channel_pump(&vb->channel);
		if (vb_channel_reap(&vb->channel))
			vb_worker_answered(&vb->worker);
		if (wait_event_idle_timeout(vb->channel.wait,
					    vb_batch_acknowledged(batch),
					    VB_SILENT_AFTER))
			break;
		/* The worker sets the state that says what this waits for. */
		vb_worker_kick(&vb->worker);
	}
	/* A host that was reset has forgotten what it read. */
	return vb_worker_stopping(&vb->worker) ? -ENODEV : 0;
}

/* Called by the kernel's page reporting, in process context. */
static int vb_report(struct page_reporting_dev_info *reporting,
		     struct scatterlist *sg, unsigned int nents)
{
	struct vb_device *vb = container_of(reporting, struct vb_device,
					    reporting);
	struct scatterlist *entry;
	unsigned long pages = 0;
	struct vb_batch batch;
	unsigned int i;
	int rc;

	if (vb_worker_stopping(&vb->worker))
		return -ENODEV;
	if (vb_channel_broken(&vb->channel))
		return -EIO;
	if (vb_channel_silent_on(&vb->channel, VB_RANGES))
		return -EBUSY;

	vb_batch_init(&batch, VB_KIND_REPORT, nents, NULL);
	batch.op = VB_INFLATE;
	batch.sg = sg;
	batch.nr = nents;
	rc = vb_report_wait(vb, &batch);
	if (rc)
		return rc;
	/* Once this returns, the pages are in use again. */
	for_each_sg(sg, entry, nents, i)
		pages += entry->length >> PAGE_SHIFT;
	vb_counters_add(&vb->counters, VB_REPORTED, pages);
	return 0;
}

/**
 * vb_report_start() - report free pages from now on, if the host wants that
 * @vb: the device, which is ready
 *
 * A guest can do without: what goes wrong here is said and lived with.
 *
 * Context: May sleep.
 */
void vb_report_start(struct vb_device *vb)
{
	struct page_reporting_dev_info *reporting = &vb->reporting;
	unsigned int room = vb_channel_report_room(&vb->channel);
	int rc;

	vb->reports = false;
	if (!room)
		return;
	memset(reporting, 0, sizeof(*reporting));
	reporting->report = vb_report;
	reporting->order = VB_BLOCK_ORDER;
	rc = vb_page_reporting_register(reporting, room);
	if (rc == -EBUSY)
		dev_info(&vb->vdev->dev, "free pages are reported by another device\n");
	else if (rc)
		dev_info(&vb->vdev->dev, "free pages are not reported: %d\n", rc);
	vb->reports = !rc;
}

/**
 * vb_report_stop() - report no more
 * @vb: the device: stopped and reset, so that no report waits for the host
 *
 * Context: May sleep.
 */
void vb_report_stop(struct vb_device *vb)
{
	if (vb->reports)
		vb_page_reporting_unregister(&vb->reporting);
	vb->reports = false;
}
