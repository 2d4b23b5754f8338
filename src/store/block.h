/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Blocks, as store.c uses them.
 */
#ifndef VB_BLOCK_H
#define VB_BLOCK_H

#include "store/store.h"

struct page *vb_block_alloc(struct vb_store *store, int nid);
void vb_block_abort(struct vb_store *store, struct vb_batch *batch);
void vb_block_commit(struct vb_store *store, struct vb_batch *batch);
struct page *vb_block_break(struct vb_store *store);
unsigned long vb_block_lacking(struct vb_store *store);
bool vb_block_empty(struct vb_store *store);

#endif
