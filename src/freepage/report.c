// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: the kernel finds free memory that the host has not
 * heard of, and hands it to us.  It stays the guest's; the host may replace it
 * by nothing until it is used.
 */
#include <linux/scatterlist.h>

#include "freepage/freepage.h"

/*
 * Tell the host of free pages and wait until it has read that.  Free pages are
 * nobody's while the host has them, so the wait ends when the host has answered
 * or was reset (vb_channel_abandon()), and not before.
 */
static int vb_report_wait(struct vb_report *report, struct vb_batch *batch)
{
	if (!vb_channel_send(report->channel, batch))
		return -ENODEV;
	for (;;) {
		/* Again, if there was no room: the worker may be frozen. */
		vb_channel_pump(report->channel);
		if (vb_channel_reap(report->channel))
			vb_worker_answered(report->worker);
		if (wait_event_idle_timeout(report->channel->wait,
					    vb_batch_acknowledged(batch),
					    VB_SILENT_AFTER))
			break;
		/* The worker sets the state that says what this waits for. */
		vb_worker_kick(report->worker);
	}
	/* A host that was reset has forgotten what it read. */
	return vb_worker_stopping(report->worker) ? -ENODEV : 0;
}

/* Called by the kernel's page reporting, in process context. */
static int vb_report_pages(struct page_reporting_dev_info *info,
			   struct scatterlist *sg, unsigned int nents)
{
	struct vb_report *report = container_of(info, struct vb_report, info);
	struct scatterlist *entry;
	unsigned long pages = 0;
	struct vb_batch batch;
	unsigned int i;
	int rc;

	if (vb_worker_stopping(report->worker))
		return -ENODEV;
	if (vb_channel_broken(report->channel))
		return -EIO;
	if (vb_channel_silent_on(report->channel, VB_RANGES))
		return -EBUSY;

	vb_batch_init(&batch, VB_KIND_REPORT, nents, NULL);
	batch.op = VB_INFLATE;
	batch.sg = sg;
	batch.nr = nents;
	rc = vb_report_wait(report, &batch);
	if (rc)
		return rc;
	/* Once this returns, the pages are in use again. */
	for_each_sg(sg, entry, nents, i)
		pages += entry->length >> PAGE_SHIFT;
	vb_counters_add(report->channel->counters, VB_REPORTED, pages);
	return 0;
}

/**
 * vb_report_start() - report free pages from now on, if the host wants that
 * @report: the reports; the device is ready
 *
 * A guest can do without: what goes wrong here is said and lived with.
 *
 * Context: May sleep.
 */
void vb_report_start(struct vb_report *report)
{
	struct device *dev = &report->channel->vdev->dev;
	unsigned int room = vb_channel_report_room(report->channel);
	int rc;

	report->registered = false;
	if (!room)
		return;
	memset(&report->info, 0, sizeof(report->info));
	report->info.report = vb_report_pages;
	report->info.order = VB_BLOCK_ORDER;
	rc = vb_page_reporting_register(&report->info, room);
	if (rc == -EBUSY)
		dev_info(dev, "free pages are reported by another device\n");
	else if (rc)
		dev_info(dev, "free pages are not reported: %d\n", rc);
	report->registered = !rc;
}

/**
 * vb_report_stop() - report no more
 * @report: the reports; the device was reset, so that no report waits for it
 *
 * Context: May sleep.
 */
void vb_report_stop(struct vb_report *report)
{
	if (report->registered)
		vb_page_reporting_unregister(&report->info);
	report->registered = false;
}

/**
 * vb_report_init() - prepare
 * @report: the reports
 * @channel: where they travel
 * @worker: says that the host is silent
 *
 * Context: Any.
 */
void vb_report_init(struct vb_report *report, struct vb_channel *channel,
		    struct vb_worker *worker)
{
	report->channel = channel;
	report->worker = worker;
}
