// SPDX-License-Identifier: GPL-2.0
/*
 * The numbers that a host may ask for (virtio 1.3, 5.5.6.4).
 */
#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "vballoon.h"

/* At most so many tags. */
#define VB_STATS_MAX	16

struct vb_stats_cursor {
	struct virtio_device *vdev;
	struct virtio_balloon_stat *next;
};

static void vb_stat(struct vb_stats_cursor *cursor, u16 tag, u64 value)
{
	cursor->next->tag = cpu_to_virtio16(cursor->vdev, tag);
	cursor->next->val = cpu_to_virtio64(cursor->vdev, value);
	cursor->next++;
}

static void vb_stat_pages(struct vb_stats_cursor *cursor, u16 tag, u64 pages)
{
	vb_stat(cursor, tag, pages << PAGE_SHIFT);
}

static void vb_stats_memory(struct vb_stats_cursor *cursor)
{
	struct sysinfo info;

	si_meminfo(&info);
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_MEMFREE, info.freeram);
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_MEMTOT, info.totalram);
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_AVAIL, si_mem_available());
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_CACHES,
		      global_node_page_state(NR_FILE_PAGES));
}

#ifdef CONFIG_VM_EVENT_COUNTERS
/* QEMU, which alone knows of poison, skips tags that it does not know. */
static bool vb_stats_more(struct virtio_device *vdev)
{
	return VB_SENDS_MORE_STATS ||
	       vb_device_offers(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
}

static void vb_stats_events(struct vb_stats_cursor *cursor)
{
	unsigned long events[NR_VM_EVENT_ITEMS];
	unsigned long stalls = 0;
	int zone;

	all_vm_events(events);
	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		stalls += events[ALLOCSTALL_NORMAL - ZONE_NORMAL + zone];

	vb_stat_pages(cursor, VIRTIO_BALLOON_S_SWAP_IN, events[PSWPIN]);
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_SWAP_OUT, events[PSWPOUT]);
	vb_stat(cursor, VIRTIO_BALLOON_S_MAJFLT, events[PGMAJFAULT]);
	vb_stat(cursor, VIRTIO_BALLOON_S_MINFLT, events[PGFAULT]);
#ifdef CONFIG_HUGETLB_PAGE
	vb_stat(cursor, VIRTIO_BALLOON_S_HTLB_PGALLOC,
		events[HTLB_BUDDY_PGALLOC]);
	vb_stat(cursor, VIRTIO_BALLOON_S_HTLB_PGFAIL,
		events[HTLB_BUDDY_PGALLOC_FAIL]);
#endif
	if (!vb_stats_more(cursor->vdev))
		return;
	vb_stat(cursor, VIRTIO_BALLOON_S_OOM_KILL, events[OOM_KILL]);
	vb_stat(cursor, VIRTIO_BALLOON_S_ALLOC_STALL, stalls);
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_ASYNC_SCAN,
		      vb_reclaim_counter(events, PGSCAN_KSWAPD));
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_DIRECT_SCAN,
		      vb_reclaim_counter(events, PGSCAN_DIRECT));
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_ASYNC_RECLAIM,
		      vb_reclaim_counter(events, PGSTEAL_KSWAPD));
	vb_stat_pages(cursor, VIRTIO_BALLOON_S_DIRECT_RECLAIM,
		      vb_reclaim_counter(events, PGSTEAL_DIRECT));
}
#else
static void vb_stats_events(struct vb_stats_cursor *cursor)
{
}
#endif

/* The same tags every time (virtio 1.3, 5.5.6.3). */
static void vb_stats_work(struct work_struct *work)
{
	struct vb_device *vb = container_of(work, struct vb_device, stats.work);
	struct vb_stats_cursor cursor = { .vdev = vb->vdev };
	struct virtio_balloon_stat *stats = vb_statsq_get(&vb->channel);

	if (!stats)
		return;
	cursor.next = stats;
	vb_stats_memory(&cursor);
	vb_stats_events(&cursor);
	vb_statsq_send(&vb->channel, cursor.next - stats);
}

/**
 * vb_stats_ask() - the host waits for statistics
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
 * vb_stats_stop() - no more, and nothing of it runs
 * @vb: the device, stopping
 *
 * Context: May sleep.
 */
void vb_stats_stop(struct vb_device *vb)
{
	cancel_work_sync(&vb->stats.work);
}

/**
 * vb_stats_init() - prepare to answer, with a buffer for all tags
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
	return vb_statsq_init(&vb->channel, VB_STATS_MAX);
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
