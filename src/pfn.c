// SPDX-License-Identifier: GPL-2.0
/*
 * The page allocator hands out runs of ascending pages, so a merge sort that
 * starts from the runs it finds needs a handful of passes, where a general
 * sort cost a third of all that an inflation does.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "pfn.h"

static unsigned int vb_run_end(const u32 *pfn, unsigned int i, unsigned int nr)
{
	if (i == nr)
		return nr;
	do {
		i++;
	} while (i < nr && pfn[i - 1] <= pfn[i]);
	return i;
}

/* Merge each two neighbouring runs. */
static void vb_merge_runs(const u32 *from, u32 *to, unsigned int nr)
{
	unsigned int a, a_end, b, b_end;
	unsigned int out = 0;

	while (out < nr) {
		a = out;
		a_end = vb_run_end(from, a, nr);
		b = a_end;
		b_end = vb_run_end(from, b, nr);
		while (a < a_end && b < b_end)
			to[out++] = from[b] < from[a] ? from[b++] : from[a++];
		while (a < a_end)
			to[out++] = from[a++];
		while (b < b_end)
			to[out++] = from[b++];
	}
}

/**
 * vb_pfn_sort() - sort PFNs in ascending order
 * @pfn: the PFNs
 * @scratch: room for as many
 * @nr: how many
 *
 * Context: Any.
 */
void vb_pfn_sort(u32 *pfn, u32 *scratch, unsigned int nr)
{
	u32 *from = pfn;
	u32 *to = scratch;
	u32 *swap;

	while (vb_run_end(from, 0, nr) < nr) {
		vb_merge_runs(from, to, nr);
		swap = from;
		from = to;
		to = swap;
	}
	if (from != pfn)
		memcpy(pfn, from, nr * sizeof(*pfn));
}
