/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arrays of page frame numbers.  Pure: tests/unit compiles it in user space.
 */
#ifndef VB_PFN_H
#define VB_PFN_H

#include <linux/types.h>

/**
 * struct vb_runs - guest pages as the guest counts them
 * @pfn: the first of each run
 * @nr: how many runs
 * @order: of a run: 1 << @order guest pages
 * @scale: PFNs of the balloon's, which are of 4 KiB, to a guest page
 */
struct vb_runs {
	const u32 *pfn;
	unsigned int nr;
	unsigned int order;
	unsigned int scale;
};

void vb_pfn_sort(u32 *pfn, u32 *scratch, unsigned int nr);
unsigned int vb_pfn_write(u32 *to, unsigned int max, const struct vb_runs *runs,
			  unsigned int from, bool foreign);

#endif
