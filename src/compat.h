/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place where kernels differ.  A function that an older kernel lacks
 * is supplied here under its upstream name; a function that changed gets a vb_
 * wrapper shaped like the newest kernel's.  Kbuild probes for VB_HAVE_*.
 */
#ifndef VB_COMPAT_H
#define VB_COMPAT_H

#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/page_reporting.h>
#include <linux/pagemap.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/vmstat.h>
#include <uapi/linux/virtio_balloon.h>

#ifdef VB_HAVE_BALLOON_H
#include <linux/balloon.h>
#else
#include <linux/balloon_compaction.h>
#endif

/* The newest kernels have unrolled_count() in <linux/unroll.h>. */
#define VB_PRAGMA(words)	_Pragma(#words)
#ifdef CONFIG_CC_IS_CLANG
#define vb_unrolled(n)	VB_PRAGMA(clang loop unroll_count(n))
#else
#define vb_unrolled(n)	VB_PRAGMA(GCC unroll n)
#endif

#ifdef CONFIG_HIGHMEM
#error "vballoon: 32-bit kernels with high memory are not supported"
#endif

/*
 * Tags of virtio 1.3 (5.5.6.4) that the header of an older kernel does not
 * name.  The driver of such a kernel does not send them, and some hosts drop a
 * buffer with tags that they do not know.
 */
#ifdef VIRTIO_BALLOON_S_OOM_KILL
#define VB_SENDS_MORE_STATS	true
#else
#define VB_SENDS_MORE_STATS	false
#define VIRTIO_BALLOON_S_OOM_KILL	10
#define VIRTIO_BALLOON_S_ALLOC_STALL	11
#define VIRTIO_BALLOON_S_ASYNC_SCAN	12
#define VIRTIO_BALLOON_S_DIRECT_SCAN	13
#define VIRTIO_BALLOON_S_ASYNC_RECLAIM	14
#define VIRTIO_BALLOON_S_DIRECT_RECLAIM	15
#endif

/* Reclaim counters are vm events before 7.x, and node statistics since. */
#ifdef VB_HAVE_NODE_PGSCAN
#define vb_reclaim_counter(events, item) \
	((void)(events), global_node_page_state(item))
#else
#define vb_reclaim_counter(events, item)	((events)[item])
#endif

#ifndef alloc_pages_bulk_node
#define alloc_pages_bulk_node(gfp, nid, nr, pages) \
	alloc_pages_bulk_array_node(gfp, nid, nr, pages)
#endif

#if IS_ENABLED(CONFIG_BALLOON_MIGRATION) || IS_ENABLED(CONFIG_BALLOON_COMPACTION)
#define VB_GFP_MOVABLE	GFP_HIGHUSER_MOVABLE
#else
#define VB_GFP_MOVABLE	GFP_HIGHUSER
#endif

/*
 * Keeps the allocator from zeroing pages for the balloon under init_on_alloc=1.
 * Zeroing is of no use: the host discards the page, and the allocator zeroes
 * the page again for its next user.  With __GFP_ZEROTAGS the allocator leaves
 * zeroing to tag_clear_highpage(), which does nothing on an architecture
 * without memory tags (post_alloc_hook() in mm/page_alloc.c).  In newer kernels
 * that function returns whether it has zeroed, and the allocator does the rest.
 */
#if defined(VB_HAVE_VOID_TAG_CLEAR) && !defined(__HAVE_ARCH_TAG_CLEAR_HIGHPAGE)
#define VB_GFP_UNTOUCHED	__GFP_ZEROTAGS
#else
#define VB_GFP_UNTOUCHED	((__force gfp_t)0)
#endif

/* Does the allocator zero the pages that it hands out to the balloon? */
static inline bool vb_pages_come_touched(void)
{
	return !VB_GFP_UNTOUCHED && want_init_on_alloc(0) &&
	       !want_init_on_free();
}

#ifdef VIRTIO_FEATURES_BITS
static inline bool vb_device_offers(struct virtio_device *vdev, unsigned int bit)
{
	u64 features[VIRTIO_FEATURES_U64S];

	virtio_get_features(vdev, features);
	return virtio_features_test_bit(features, bit);
}
#else
static inline bool vb_device_offers(struct virtio_device *vdev, unsigned int bit)
{
	return vdev->config->get_features(vdev) & BIT_ULL(bit);
}
#endif

/* "Balloon:" in /proc/meminfo.  The kernel's core counts only single pages. */
static inline void vb_balloon_count(struct page *page, long pages)
{
#ifdef VB_HAVE_NR_BALLOON_PAGES
	mod_node_page_state(page_pgdat(page), NR_BALLOON_PAGES, pages);
#endif
}

/* Without CONFIG_PM_SLEEP nothing is frozen, and nothing restored. */
#ifndef CONFIG_PM_SLEEP
static inline int virtio_device_freeze(struct virtio_device *vdev) { return 0; }
static inline int virtio_device_restore(struct virtio_device *vdev) { return 0; }
#endif

/* Most virtqueues that vb_find_vqs() finds on any kernel. */
#define VB_COMPAT_VQS	8

#ifdef VB_HAVE_VIRTQUEUE_INFO
#define vb_find_vqs(vdev, nr, vqs, info)	virtio_find_vqs(vdev, nr, vqs, info, NULL)
#else
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
};

static inline int vb_find_vqs(struct virtio_device *vdev, unsigned int nr,
			      struct virtqueue *vqs[],
			      struct virtqueue_info info[])
{
	vq_callback_t *callbacks[VB_COMPAT_VQS];
	const char *names[VB_COMPAT_VQS];
	unsigned int i;

	if (nr > VB_COMPAT_VQS)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		callbacks[i] = info[i].callback;
		names[i] = info[i].name;
	}
	return virtio_find_vqs(vdev, nr, vqs, callbacks, names, NULL);
}
#endif

/*
 * The bits that the kernel keeps for a page's block: enum pageblock_bits in
 * linux/pageblock-flags.h.  The kernel exports no function that reads them.
 */
static inline unsigned long vb_page_block_bits(struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	const unsigned long *flags;
	unsigned long bit;

#ifdef CONFIG_SPARSEMEM
	flags = __pfn_to_section(pfn)->usage->pageblock_flags;
	pfn &= PAGES_PER_SECTION - 1;
#else
	flags = page_zone(page)->pageblock_flags;
	pfn -= pageblock_start_pfn(page_zone(page)->zone_start_pfn);
#endif
	bit = (pfn >> pageblock_order) * NR_PAGEBLOCK_BITS;
	return READ_ONCE(flags[BIT_WORD(bit)]) >> (bit % BITS_PER_LONG);
}

/*
 * Does a page lie in a page block that CMA lends out?  The type of a page block
 * is in the lowest three of its bits, on all kernels.
 */
static inline bool vb_page_is_cma(struct page *page)
{
#ifdef CONFIG_CMA
	return (vb_page_block_bits(page) & 7) == MIGRATE_CMA;
#else
	return false;
#endif
}

/*
 * Does somebody empty the page block that a page lies in, for memory that goes
 * offline or for alloc_contig_range()?  Newer kernels have a bit for it, older
 * ones a type.
 */
static inline bool vb_page_is_isolated(struct page *page)
{
#if !defined(CONFIG_MEMORY_ISOLATION)
	return false;
#elif defined(PAGEBLOCK_ISO_MASK)
	return vb_page_block_bits(page) & PAGEBLOCK_ISO_MASK;
#else
	return (vb_page_block_bits(page) & 7) == MIGRATE_ISOLATE;
#endif
}

/*
 * The largest order of the page allocator.  MAX_ORDER of an older kernel may be
 * that or one more.
 */
#ifndef MAX_PAGE_ORDER
#define MAX_PAGE_ORDER	((int)ARRAY_SIZE(((struct zone *)NULL)->free_area) - 1)
#endif

/* Since 6.7 the kernel allocates shrinkers; before, their user did. */
typedef unsigned long vb_shrink_t(struct shrinker *shrinker,
				  struct shrink_control *control);

#ifdef SHRINKER_ALLOCATED
static inline void *vb_shrinker_data(struct shrinker *shrinker)
{
	return shrinker->private_data;
}

static inline void vb_shrinker_delete(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

static inline struct shrinker *vb_shrinker_new(const char *name,
					       vb_shrink_t *count,
					       vb_shrink_t *scan, void *data)
{
	struct shrinker *shrinker = shrinker_alloc(0, "%s", name);

	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = 0;
	shrinker->private_data = data;
	shrinker_register(shrinker);
	return shrinker;
}
#else
struct vb_shrinker {
	struct shrinker shrinker;
	void *data;
};

static inline void *vb_shrinker_data(struct shrinker *shrinker)
{
	return container_of(shrinker, struct vb_shrinker, shrinker)->data;
}

static inline void vb_shrinker_delete(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(container_of(shrinker, struct vb_shrinker, shrinker));
}

static inline struct shrinker *vb_shrinker_new(const char *name,
					       vb_shrink_t *count,
					       vb_shrink_t *scan, void *data)
{
	struct vb_shrinker *own = kzalloc(sizeof(*own), GFP_KERNEL);

	if (!own)
		return NULL;
	own->shrinker.count_objects = count;
	own->shrinker.scan_objects = scan;
	own->shrinker.seeks = 0;
	own->data = data;
	if (register_shrinker(&own->shrinker, "%s", name)) {
		kfree(own);
		return NULL;
	}
	return &own->shrinker;
}
#endif

/*
 * Before 7.x a device must take reports of PAGE_REPORTING_CAPACITY ranges.  A
 * kernel without page reporting declares its functions and lacks them.
 */
static inline int
vb_page_reporting_register(struct page_reporting_dev_info *reporting,
			   unsigned int capacity)
{
#if !IS_ENABLED(CONFIG_PAGE_REPORTING)
	return -EOPNOTSUPP;
#elif defined(VB_HAVE_REPORT_CAPACITY)
	reporting->capacity = capacity;
	return page_reporting_register(reporting);
#else
	return capacity < PAGE_REPORTING_CAPACITY ? -ENOSPC :
	       page_reporting_register(reporting);
#endif
}

#if !IS_ENABLED(CONFIG_PAGE_REPORTING)
#define page_reporting_unregister(reporting)	((void)(reporting))
#endif

/*
 * Where movable pages are known by their offline mark, only the allocator may
 * clear it: somebody may be about to isolate the page.
 */
#ifdef VB_HAVE_MOVABLE_OPS_FLAG
#define VB_OFFLINE_STAYS	true
#else
#define VB_OFFLINE_STAYS	false
#endif

/*
 * The balloon core.  Since 7.x the core adjusts the managed page count, and
 * replaces a migrated page on its list; before, the driver does both.
 *
 * A migration may have to fail after the host was told of the new page.  The
 * driver then keeps the new page by a reference.  But 6.1's compaction_free()
 * ignores references and uses the page for the next migration, so before 7.x a
 * migration does not fail: the old page leaves without a replacement.
 *
 * vb_balloon_forget() returns what the migration callback must return;
 * vb_balloon_isolates() tells whether the core will use @balloon again.
 */
#ifdef VB_HAVE_BALLOON_H
#define VB_MIGRATION_MAY_FAIL	true

static inline void vb_balloon_init(struct balloon_dev_info *balloon, bool adjust)
{
	balloon_devinfo_init(balloon);
	balloon->adjust_managed_page_count = adjust;
}

static inline void vb_balloon_adjust(struct page *page, long count)
{
}

static inline void vb_balloon_replace(struct balloon_dev_info *balloon,
				      struct page *newpage, struct page *page,
				      bool adjust)
{
}

static inline void vb_balloon_enqueue(struct balloon_dev_info *balloon,
				      struct page *page, bool adjust)
{
	balloon_page_enqueue(balloon, page);
}

static inline bool vb_balloon_isolates(struct balloon_dev_info *balloon)
{
	return READ_ONCE(balloon->isolated_pages);
}

static inline int vb_balloon_forget(struct balloon_dev_info *balloon,
				    struct page *page, bool adjust)
{
	/* The core does the rest, and forgets this (seen on 7.3). */
	vb_balloon_count(page, -1);
	return -ENOENT;
}
#else
#define VB_MIGRATION_MAY_FAIL	false

static inline void vb_balloon_init(struct balloon_dev_info *balloon, bool adjust)
{
	balloon_devinfo_init(balloon);
}

static inline void vb_balloon_adjust(struct page *page, long count)
{
	adjust_managed_page_count(page, count);
}

/* A page enters the list, or an isolated one leaves the balloon, or both. */
static inline void vb_balloon_change(struct balloon_dev_info *balloon,
				     struct page *enters, struct page *leaves,
				     enum vm_event_item event)
{
	unsigned long flags;

	spin_lock_irqsave(&balloon->pages_lock, flags);
	if (enters)
		balloon_page_insert(balloon, enters);
	if (leaves)
		balloon->isolated_pages--;
	__count_vm_event(event);
	spin_unlock_irqrestore(&balloon->pages_lock, flags);

	if (leaves) {
		balloon_page_finalize(leaves);
		put_page(leaves);
	}
}

static inline void vb_balloon_replace(struct balloon_dev_info *balloon,
				      struct page *newpage, struct page *page,
				      bool adjust)
{
#ifdef CONFIG_BALLOON_COMPACTION
	if (adjust && page_zone(page) != page_zone(newpage)) {
		vb_balloon_adjust(page, 1);
		vb_balloon_adjust(newpage, -1);
	}
	get_page(newpage);
	vb_balloon_change(balloon, newpage, page, BALLOON_MIGRATE);
#endif
}

static inline int vb_balloon_forget(struct balloon_dev_info *balloon,
				    struct page *page, bool adjust)
{
	if (adjust)
		vb_balloon_adjust(page, 1);
	vb_balloon_count(page, -1);
	vb_balloon_change(balloon, NULL, page, BALLOON_DEFLATE);
	return 0;
}

/*
 * Put a page back that has left the list, and has not been free since.
 * balloon_page_enqueue() stops the kernel if the page is locked, as it may be
 * for a moment by somebody who has seen that the page was movable.
 */
static inline void vb_balloon_enqueue(struct balloon_dev_info *balloon,
				      struct page *page, bool adjust)
{
	if (adjust)
		vb_balloon_adjust(page, -1);
	vb_balloon_count(page, 1);
	lock_page(page);
	vb_balloon_change(balloon, page, NULL, BALLOON_INFLATE);
	unlock_page(page);
}

/* Under the lock, since the kernel touches it last. */
static inline bool vb_balloon_isolates(struct balloon_dev_info *balloon)
{
	unsigned long flags, isolated;

	spin_lock_irqsave(&balloon->pages_lock, flags);
	isolated = balloon->isolated_pages;
	spin_unlock_irqrestore(&balloon->pages_lock, flags);
	return isolated;
}
#endif

#endif
