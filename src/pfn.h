/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arrays of page frame numbers.  No kernel call here, so that tests/unit
 * compiles the same text in user space.
 */
#ifndef VB_PFN_H
#define VB_PFN_H

#include <linux/types.h>

/**
 * struct vb_runs - runs of guest pages
 * @pfn: the first page frame of each run, as the guest numbers them
 * @nr: runs in @pfn
 * @order: log2 of the guest pages in a run
 * @scale: balloon pages, of 4 KiB, in a guest page
 */
struct vb_runs {
	const u32 *pfn;
	unsigned int nr;
	unsigned int order;
	unsigned int scale;
};

void vb_pfn_sort(u32 *pfn, u32 *scratch, unsigned int nr);
unsigned int vb_pfn_write(u32 *to, unsigned int max, const struct vb_runs *runs,
			  unsigned int from, bool swap_bytes);

#endif
