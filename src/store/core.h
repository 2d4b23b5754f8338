/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the kernels' balloon cores differ.
 */
#ifndef VB_CORE_H
#define VB_CORE_H

#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>

#include "compat.h"

#ifdef VB_HAVE_BALLOON_H
#include <linux/balloon.h>
#else
#include <linux/balloon_compaction.h>
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

/* Return: what the migration callback must return. */
static inline int vb_balloon_forget(struct balloon_dev_info *balloon,
				    struct page *page, bool adjust)
{
	/* The core does the rest, and forgets this (seen on 7.3). */
	vb_balloon_count(page, -1);
	return -ENOENT;
}

static inline void vb_balloon_enqueue(struct balloon_dev_info *balloon,
				      struct page *page, bool adjust)
{
	balloon_page_enqueue(balloon, page);
}

/* Has the kernel isolated pages, so that it will use @balloon again? */
static inline bool vb_balloon_isolates(struct balloon_dev_info *balloon)
{
	return READ_ONCE(balloon->isolated_pages);
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

static inline void vb_balloon_replace(struct balloon_dev_info *balloon,
				      struct page *newpage, struct page *page,
				      bool adjust)
{
#ifdef CONFIG_BALLOON_COMPACTION
	unsigned long flags;

	if (adjust && page_zone(page) != page_zone(newpage)) {
		adjust_managed_page_count(page, 1);
		adjust_managed_page_count(newpage, -1);
	}

	get_page(newpage);
	spin_lock_irqsave(&balloon->pages_lock, flags);
	balloon_page_insert(balloon, newpage);
	balloon->isolated_pages--;
	__count_vm_event(BALLOON_MIGRATE);
	spin_unlock_irqrestore(&balloon->pages_lock, flags);

	balloon_page_finalize(page);
	put_page(page);
#endif
}

static inline int vb_balloon_forget(struct balloon_dev_info *balloon,
				    struct page *page, bool adjust)
{
	unsigned long flags;

	if (adjust)
		adjust_managed_page_count(page, 1);
	vb_balloon_count(page, -1);

	spin_lock_irqsave(&balloon->pages_lock, flags);
	balloon->isolated_pages--;
	__count_vm_event(BALLOON_DEFLATE);
	spin_unlock_irqrestore(&balloon->pages_lock, flags);

	balloon_page_finalize(page);
	put_page(page);
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
	unsigned long flags;

	if (adjust)
		adjust_managed_page_count(page, -1);
	vb_balloon_count(page, 1);

	lock_page(page);
	spin_lock_irqsave(&balloon->pages_lock, flags);
	balloon_page_insert(balloon, page);
	__count_vm_event(BALLOON_INFLATE);
	spin_unlock_irqrestore(&balloon->pages_lock, flags);
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
