// SPDX-License-Identifier: GPL-2.0
/*
 * The worker's hand: pages that it has allocated to see what reclaim finds, and
 * that no host has heard of.  The guest gets them back at once if it runs out of
 * memory meanwhile, whatever was negotiated, since they are not in the balloon.
 */
#include <linux/mm.h>

#include "store/hand.h"

/**
 * vb_hand_add() - take a page into the hand
 * @hand: the hand
 * @page: the page, which belongs to the caller
 *
 * Context: The worker.
 */
void vb_hand_add(struct vb_hand *hand, struct page *page)
{
	spin_lock(&hand->lock);
	list_add(&page->lru, &hand->pages);
	spin_unlock(&hand->lock);
}

/**
 * vb_hand_open() - begin to fill an empty hand
 * @hand: the hand
 *
 * Context: The worker.
 */
void vb_hand_open(struct vb_hand *hand)
{
	WRITE_ONCE(hand->emptied, false);
}

/**
 * vb_hand_emptied() - has the guest taken pages out of the hand?
 * @hand: the hand
 *
 * Context: The worker.
 * Return: true if so, since vb_hand_open().
 */
bool vb_hand_emptied(const struct vb_hand *hand)
{
	return READ_ONCE(hand->emptied);
}

/**
 * vb_hand_drain() - take all pages out of the hand
 * @hand: the hand; empty afterwards
 * @pages: an empty list; gets the pages
 *
 * Context: The worker, or an OOM notifier.
 */
void vb_hand_drain(struct vb_hand *hand, struct list_head *pages)
{
	spin_lock(&hand->lock);
	list_splice_init(&hand->pages, pages);
	spin_unlock(&hand->lock);
}

/**
 * vb_hand_give() - give all pages in the hand back to the guest
 * @hand: the hand; empty afterwards
 *
 * Context: An OOM notifier.
 * Return: guest pages.
 */
unsigned long vb_hand_give(struct vb_hand *hand)
{
	struct page *page, *next;
	unsigned long nr = 0;
	LIST_HEAD(pages);

	vb_hand_drain(hand, &pages);
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		__free_page(page);
		nr++;
	}
	if (nr)
		WRITE_ONCE(hand->emptied, true);
	return nr;
}

/**
 * vb_hand_init() - prepare an empty hand
 * @hand: the hand, zeroed
 *
 * Context: Any.
 */
void vb_hand_init(struct vb_hand *hand)
{
	spin_lock_init(&hand->lock);
	INIT_LIST_HEAD(&hand->pages);
}
