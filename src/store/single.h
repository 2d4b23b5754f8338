/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Single pages, as store.c uses them.
 */
#ifndef VB_SINGLE_H
#define VB_SINGLE_H

#include "store/store.h"

void vb_single_abort(struct vb_batch *batch);
void vb_single_join(struct vb_store *store, struct page *page);
void vb_single_commit(struct vb_store *store, struct vb_batch *batch);
void vb_single_take(struct vb_store *store, struct vb_batch *batch,
		    unsigned long nr);
unsigned long vb_single_release(struct vb_store *store, unsigned long nr,
				struct vb_batch **notice);
unsigned long vb_single_free(struct vb_store *store);

#endif
