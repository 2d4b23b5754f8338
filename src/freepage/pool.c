// SPDX-License-Identifier: GPL-2.0
/*
 * What hints have taken and the guest may have back: blocks that the host has
 * read, and those of them that are to be told again.  They stay here until the
 * host is done, or until somebody in the guest needs memory.
 *
 * A block is linked by its first page, whose private field is its order.
 */
#include <linux/mm.h>
#include <linux/oom.h>

#include "vballoon.h"

/* Before the balloon's own pages: these cost nothing. */
#define VB_KEPT_OOM_PRIORITY	(VB_OOM_PRIORITY + 1)

/**
 * vb_kept_put() - put a block here
 * @hint: the hints
 * @page: its first page
 * @list: @hint->kept or @hint->again
 *
 * Context: Under @hint->lock.
 */
void vb_kept_put(struct vb_hint *hint, struct page *page,
		 struct list_head *list)
{
	lockdep_assert_held(&hint->lock);

	list_add_tail(&page->lru, list);
	WRITE_ONCE(hint->kept_pages, hint->kept_pages + vb_hint_pages(page));
}

/**
 * vb_kept_get() - take a block from here
 * @hint: the hints
 * @list: @hint->kept or @hint->again
 *
 * Context: Under @hint->lock.
 * Return: its first page, now the caller's, or NULL.
 */
struct page *vb_kept_get(struct vb_hint *hint, struct list_head *list)
{
	struct page *page;

	lockdep_assert_held(&hint->lock);

	page = list_first_entry_or_null(list, struct page, lru);
	if (!page)
		return NULL;
	list_del(&page->lru);
	WRITE_ONCE(hint->kept_pages, hint->kept_pages - vb_hint_pages(page));
	return page;
}

/**
 * vb_kept_pages() - memory that is as good as available
 * @vb: the device
 *
 * Context: Any.
 * Return: guest pages that vb_kept_yield() can give.
 */
unsigned long vb_kept_pages(struct vb_device *vb)
{
	return READ_ONCE(vb->hint.kept_pages);
}

/**
 * vb_kept_free() - give a block back to the guest
 * @page: its first page, the caller's
 *
 * Context: Any.
 */
void vb_kept_free(struct page *page)
{
	unsigned int order = page_private(page);

	set_page_private(page, 0);
	__free_pages(page, order);
}

/**
 * vb_kept_give() - give blocks back to the guest
 * @vb: the device
 * @nr: guest pages wanted
 *
 * Context: Process context.  Allocates nothing.
 * Return: guest pages given: at least @nr, or all that were here.
 */
unsigned long vb_kept_give(struct vb_device *vb, unsigned long nr)
{
	struct vb_hint *hint = &vb->hint;
	unsigned long given = 0;
	struct page *page;

	while (given < nr) {
		spin_lock(&hint->lock);
		page = vb_kept_get(hint, &hint->kept);
		if (!page)
			page = vb_kept_get(hint, &hint->again);
		spin_unlock(&hint->lock);
		if (!page)
			break;
		given += vb_hint_pages(page);
		vb_kept_free(page);
	}
	return given;
}

/* The guest needs its memory: this command gets no more of it. */
static unsigned long vb_kept_strain(struct vb_device *vb, unsigned long nr)
{
	WRITE_ONCE(vb->hint.strained, true);
	vb_hint_collect(vb);
	return vb_kept_give(vb, nr);
}

/**
 * vb_kept_yield() - make room for the balloon
 * @vb: the device
 * @nr: guest pages that are needed
 *
 * What the host wants for good comes before what it wants to leave out.
 *
 * Context: Process context.
 * Return: false if there is nothing to give.
 */
bool vb_kept_yield(struct vb_device *vb, unsigned long nr)
{
	return vb_kept_pages(vb) && vb_kept_strain(vb, nr);
}

static unsigned long vb_kept_count_objects(struct shrinker *shrinker,
					   struct shrink_control *control)
{
	return vb_kept_pages(vb_shrinker_data(shrinker)) ?: SHRINK_EMPTY;
}

static unsigned long vb_kept_scan_objects(struct shrinker *shrinker,
					  struct shrink_control *control)
{
	unsigned long given;

	given = vb_kept_strain(vb_shrinker_data(shrinker), control->nr_to_scan);
	/* A block is more than was asked for: it counts as a whole. */
	control->nr_scanned = given;
	return given ?: SHRINK_STOP;
}

static int vb_kept_oom(struct notifier_block *nb, unsigned long unused,
		       void *parm)
{
	struct vb_device *vb = container_of(nb, struct vb_device, hint.oom_nb);
	unsigned long *freed = parm;

	*freed += vb_kept_strain(vb, ULONG_MAX);
	return NOTIFY_OK;
}

/**
 * vb_kept_start() - hear of it when the guest needs memory
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0, -ENOMEM, or the notifier chain's error.
 */
int vb_kept_start(struct vb_device *vb)
{
	struct vb_hint *hint = &vb->hint;
	int rc;

	hint->shrinker = vb_shrinker_new("vballoon-hint", vb_kept_count_objects,
					 vb_kept_scan_objects, vb);
	if (!hint->shrinker)
		return -ENOMEM;
	hint->oom_nb.notifier_call = vb_kept_oom;
	hint->oom_nb.priority = VB_KEPT_OOM_PRIORITY;
	rc = register_oom_notifier(&hint->oom_nb);
	if (rc) {
		vb_shrinker_delete(hint->shrinker);
		hint->shrinker = NULL;
	}
	return rc;
}

/**
 * vb_kept_stop() - no more, and none is running
 * @vb: the device, stopping; vb_kept_start() succeeded
 *
 * Context: May sleep.
 */
void vb_kept_stop(struct vb_device *vb)
{
	unregister_oom_notifier(&vb->hint.oom_nb);
	vb_shrinker_delete(vb->hint.shrinker);
	vb->hint.shrinker = NULL;
}
