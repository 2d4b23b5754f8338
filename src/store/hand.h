/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The worker's hand, as single.c fills it.
 */
#ifndef VB_HAND_H
#define VB_HAND_H

#include "store/store.h"

void vb_hand_init(struct vb_hand *hand);
void vb_hand_open(struct vb_hand *hand);
void vb_hand_add(struct vb_hand *hand, struct page *page);
bool vb_hand_emptied(const struct vb_hand *hand);
void vb_hand_drain(struct vb_hand *hand, struct list_head *pages);

#endif
