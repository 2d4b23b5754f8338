// SPDX-License-Identifier: GPL-2.0
/*
 * The numbers that a host may ask for (virtio 1.3, 5.5.6.4).
 */
#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "vballoon.h"

/*
 * All tags, in the order in which they are sent: the same ones every time
 * (virtio 1.3, 5.5.6.3).  The buffer has room for as many as stand here; what
 * a tag means is in vb_stat_value().
 */
static const u16 vb_stat_tags[] = {
	VIRTIO_BALLOON_S_MEMFREE,
	VIRTIO_BALLOON_S_MEMTOT,
	VIRTIO_BALLOON_S_AVAIL,
	VIRTIO_BALLOON_S_CACHES,
#ifdef CONFIG_VM_EVENT_COUNTERS
	VIRTIO_BALLOON_S_SWAP_IN,
	VIRTIO_BALLOON_S_SWAP_OUT,
	VIRTIO_BALLOON_S_MAJFLT,
	VIRTIO_BALLOON_S_MINFLT,
#ifdef CONFIG_HUGETLB_PAGE
	VIRTIO_BALLOON_S_HTLB_PGALLOC,
	VIRTIO_BALLOON_S_HTLB_PGFAIL,
#endif
	VIRTIO_BALLOON_S_OOM_KILL,
	VIRTIO_BALLOON_S_ALLOC_STALL,
	VIRTIO_BALLOON_S_ASYNC_SCAN,
	VIRTIO_BALLOON_S_DIRECT_SCAN,
	VIRTIO_BALLOON_S_ASYNC_RECLAIM,
	VIRTIO_BALLOON_S_DIRECT_RECLAIM,
#endif
};

/* The last tag that every host knows. */
#define VB_STAT_OLD	VIRTIO_BALLOON_S_HTLB_PGFAIL

/* Younger tags may make a host that does not skip them drop the buffer. */
static bool vb_stat_is_sent(const struct vb_channel *channel, u16 tag)
{
	return tag <= VB_STAT_OLD || VB_SENDS_MORE_STATS || channel->skips_tags;
}

/* What all values are taken from: one moment, more or less. */
struct vb_sample {
	struct sysinfo memory;
#ifdef CONFIG_VM_EVENT_COUNTERS
	unsigned long events[NR_VM_EVENT_ITEMS];
#endif
};

static void vb_sample_take(struct vb_sample *sample)
{
	si_meminfo(&sample->memory);
#ifdef CONFIG_VM_EVENT_COUNTERS
	all_vm_events(sample->events);
#endif
}

#ifdef CONFIG_VM_EVENT_COUNTERS
static u64 vb_sample_stalls(const struct vb_sample *sample)
{
	u64 stalls = 0;
	int zone;

	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		stalls += sample->events[ALLOCSTALL_NORMAL - ZONE_NORMAL + zone];
	return stalls;
}
#endif

static u64 vb_stat_pages(u64 pages)
{
	return pages << PAGE_SHIFT;
}

static u64 vb_stat_value(const struct vb_sample *sample, u16 tag)
{
#ifdef CONFIG_VM_EVENT_COUNTERS
	const unsigned long *events = sample->events;
#endif

	switch (tag) {
	case VIRTIO_BALLOON_S_MEMFREE:
		return vb_stat_pages(sample->memory.freeram);
	case VIRTIO_BALLOON_S_MEMTOT:
		return vb_stat_pages(sample->memory.totalram);
	case VIRTIO_BALLOON_S_AVAIL:
		return vb_stat_pages(si_mem_available());
	case VIRTIO_BALLOON_S_CACHES:
		return vb_stat_pages(global_node_page_state(NR_FILE_PAGES));
#ifdef CONFIG_VM_EVENT_COUNTERS
	case VIRTIO_BALLOON_S_SWAP_IN:
		return vb_stat_pages(events[PSWPIN]);
	case VIRTIO_BALLOON_S_SWAP_OUT:
		return vb_stat_pages(events[PSWPOUT]);
	case VIRTIO_BALLOON_S_MAJFLT:
		return events[PGMAJFAULT];
	case VIRTIO_BALLOON_S_MINFLT:
		return events[PGFAULT];
#ifdef CONFIG_HUGETLB_PAGE
	case VIRTIO_BALLOON_S_HTLB_PGALLOC:
		return events[HTLB_BUDDY_PGALLOC];
	case VIRTIO_BALLOON_S_HTLB_PGFAIL:
		return events[HTLB_BUDDY_PGALLOC_FAIL];
#endif
	case VIRTIO_BALLOON_S_OOM_KILL:
		return events[OOM_KILL];
	case VIRTIO_BALLOON_S_ALLOC_STALL:
		return vb_sample_stalls(sample);
	case VIRTIO_BALLOON_S_ASYNC_SCAN:
		return vb_stat_pages(vb_reclaim_counter(events, PGSCAN_KSWAPD));
	case VIRTIO_BALLOON_S_DIRECT_SCAN:
		return vb_stat_pages(vb_reclaim_counter(events, PGSCAN_DIRECT));
	case VIRTIO_BALLOON_S_ASYNC_RECLAIM:
		return vb_stat_pages(vb_reclaim_counter(events, PGSTEAL_KSWAPD));
	case VIRTIO_BALLOON_S_DIRECT_RECLAIM:
		return vb_stat_pages(vb_reclaim_counter(events, PGSTEAL_DIRECT));
#endif
	}
	WARN_ON_ONCE(1);
	return 0;
}

/* Returns the number of entries that were filled. */
static unsigned int vb_stats_fill(const struct vb_channel *channel,
				  struct virtio_balloon_stat *stats)
{
	struct virtio_device *vdev = channel->vdev;
	struct vb_sample sample;
	unsigned int nr = 0;
	unsigned int i;
	u64 value;
	u16 tag;

	vb_sample_take(&sample);
	for (i = 0; i < ARRAY_SIZE(vb_stat_tags); i++) {
		tag = vb_stat_tags[i];
		if (!vb_stat_is_sent(channel, tag))
			continue;
		value = vb_stat_value(&sample, tag);
		stats[nr].tag = cpu_to_virtio16(vdev, tag);
		stats[nr].val = cpu_to_virtio64(vdev, value);
		nr++;
	}
	return nr;
}

static void vb_stats_work(struct work_struct *work)
{
	struct vb_device *vb = container_of(work, struct vb_device, stats.work);
	struct vb_channel *channel = &vb->channel;
	struct virtio_balloon_stat *stats = vb_statsq_get(channel);

	if (stats)
		vb_statsq_send(channel, vb_stats_fill(channel, stats));
}

/**
 * vb_stats_ask() - let the work hand statistics to the host
 * @vb: the device
 *
 * Context: Any.
 */
void vb_stats_ask(struct vb_device *vb)
{
	if (!vb_worker_stopping(&vb->worker))
		queue_work(vb->stats.wq, &vb->stats.work);
}

/**
 * vb_stats_stop() - stop the work; it does not run afterwards
 * @vb: the device, stopping
 *
 * Context: May sleep.
 */
void vb_stats_stop(struct vb_device *vb)
{
	cancel_work_sync(&vb->stats.work);
}

/**
 * vb_stats_init() - allocate the workqueue, and a buffer for all tags
 * @vb: the device, its channel initialised
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_stats_exit() is due either way.
 */
int vb_stats_init(struct vb_device *vb)
{
	INIT_WORK(&vb->stats.work, vb_stats_work);
	vb->stats.wq = alloc_workqueue("vballoon-stats", WQ_FREEZABLE |
				       WQ_MEM_RECLAIM | WQ_UNBOUND |
				       WQ_HIGHPRI, 1);
	if (!vb->stats.wq)
		return -ENOMEM;
	return vb_statsq_init(&vb->channel, ARRAY_SIZE(vb_stat_tags));
}

/**
 * vb_stats_exit() - free what vb_stats_init() took
 * @vb: the device, stopped
 *
 * Context: May sleep.
 */
void vb_stats_exit(struct vb_device *vb)
{
	if (vb->stats.wq)
		destroy_workqueue(vb->stats.wq);
	vb_statsq_exit(&vb->channel);
}
