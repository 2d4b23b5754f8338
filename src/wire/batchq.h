/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue of batches, as channel.c sees it.
 */
#ifndef VB_BATCHQ_H
#define VB_BATCHQ_H

#include "wire/wire.h"

int vb_batchq_init(struct vb_batchq *queue, bool pfns);
void vb_batchq_exit(struct vb_batchq *queue);
bool vb_batchq_pump(struct vb_channel *channel, struct vb_batchq *queue);
unsigned int vb_batchq_reap(struct vb_channel *channel, struct vb_batchq *queue,
			    struct list_head *finished);
void vb_batchq_close(struct vb_channel *channel, struct vb_batchq *queue,
		     struct list_head *dropped);
bool vb_batchq_silent(const struct vb_batchq *queue);

#endif
