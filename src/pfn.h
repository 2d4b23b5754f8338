/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arrays of page frame numbers.  Pure: tests/unit compiles it in user space.
 */
#ifndef VB_PFN_H
#define VB_PFN_H

#include <linux/types.h>

void vb_pfn_sort(u32 *pfn, u32 *scratch, unsigned int nr);

#endif
