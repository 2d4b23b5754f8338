// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: the kernel finds free memory that the host has not
 * heard of, and hands it to us.  It stays the guest's; the host may replace it
 * by nothing until it is used.
 */
#include <linux/scatterlist.h>

#include "vballoon.h"

static int vb_report(struct page_reporting_dev_info *reporting,
		     struct scatterlist *sg, unsigned int nents)
{
	struct vb_device *vb = container_of(reporting, struct vb_device,
					    reporting);
	unsigned long pages = 0;
	struct scatterlist *entry;
	unsigned int i;
	int rc;

	/* Once the host has it, and this returns, the pages are in use again. */
	rc = vb_channel_report(vb, sg, nents);
	if (rc)
		return rc;
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
	unsigned int room = vb_queue_report_room(vb);
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
