// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting: the kernel finds free pages that the host was not told
 * of, and isolates them until vb_report_pages() returns.  The host discards the
 * pages, and gives the guest memory again when the guest uses them (virtio 1.3,
 * 5.5.6.7).
 */
#include <linux/scatterlist.h>

#include "freepage/freepage.h"

/*
 * Send a report, and wait until the host has read it.  The guest must not use
 * the pages before, so only the host's answer or a reset of the device
 * (vb_channel_abandon()) ends the wait.  Returns 0 or -ENODEV.
 */
static int vb_report_wait(struct vb_report *report, struct vb_batch *batch)
{
	if (!vb_channel_send(report->channel, batch))
		return -ENODEV;
	for (;;) {
		/*
		 * Post the report.  In each round, since the ring may have been
		 * full and the worker, which posts too, may be frozen.
		 */
		vb_channel_pump(report->channel);
		if (vb_channel_reap(report->channel))
			vb_worker_answered(report->worker);
		if (wait_event_idle_timeout(report->channel->wait,
					    vb_batch_acknowledged(batch),
					    VB_SILENT_AFTER))
			break;
		/*
		 * Let the worker set the state to silent, so that a person can
		 * see why this report hangs.
		 */
		vb_worker_kick(report->worker);
	}
	/* A driver that stops resets the device, which forgets the report. */
	return vb_worker_stopping(report->worker) ? -ENODEV : 0;
}

/* The kernel's page reporting calls this in process context. */
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
	/* Count now: after the return the guest may use the pages again. */
	for_each_sg(sg, entry, nents, i)
		pages += entry->length >> PAGE_SHIFT;
	vb_counters_add(report->channel->counters, VB_REPORTED, pages);
	return 0;
}

/**
 * vb_report_start() - report free pages from now on, if the host wants that
 * @report: the reports; the device is ready
 *
 * The balloon works without reports, so a failure is only logged.
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
 * vb_report_stop() - report no more; no report runs afterwards
 * @report: the reports; the channel is abandoned, so that no report waits
 *
 * Context: May sleep.
 */
void vb_report_stop(struct vb_report *report)
{
	if (report->registered)
		page_reporting_unregister(&report->info);
	report->registered = false;
}

/**
 * vb_report_init() - prepare to report free pages
 * @report: the reports
 * @channel: carries reports
 * @worker: sets the state when the host is silent
 *
 * Context: Any.
 */
void vb_report_init(struct vb_report *report, struct vb_channel *channel,
		    struct vb_worker *worker)
{
	report->channel = channel;
	report->worker = worker;
}
