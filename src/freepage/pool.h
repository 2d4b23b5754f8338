/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pool of hinted blocks, as hint.c and reclaim.c use it.
 */
#ifndef VB_POOL_H
#define VB_POOL_H

#include "freepage/freepage.h"

void vb_pool_init(struct vb_pool *pool);
struct page *vb_pool_take(unsigned int *order, unsigned long floor);
void vb_pool_put(struct vb_pool *pool, struct page *page,
		 struct list_head *list);
struct page *vb_pool_get(struct vb_pool *pool, struct list_head *list);
void vb_pool_free(struct page *page);
unsigned long vb_pool_give(struct vb_pool *pool, unsigned long nr);

/* The guest pages of a hinted block; @page is its first page. */
static inline unsigned long vb_pool_block_pages(struct page *page)
{
	return 1UL << page_private(page);
}

#endif
