// SPDX-License-Identifier: GPL-2.0
/*
 * Page frame numbers, put in order and written for the host.
 *
 * The page allocator hands out runs of ascending pages, so a merge sort that
 * starts from the runs it finds needs a handful of passes, where a general
 * sort cost a third of all that an inflation does.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#include <linux/swab.h>
#else
#include <string.h>
#define swab32 __builtin_bswap32
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

/**
 * vb_pfn_write() - write PFNs as the host reads them
 * @to: gets them
 * @max: room in @to
 * @runs: the guest pages
 * @from: PFNs of @runs that were written before
 * @foreign: the host's byte order is not ours
 *
 * Source: virtio 1.3, 5.5.6: numbers of 4 KiB pages, whatever the guest's are;
 * in the guest's byte order on a legacy device ("Legacy Interface").
 *
 * Context: Any.
 * Return: PFNs written; fewer than @max at the end of @runs only.
 */
unsigned int vb_pfn_write(u32 *to, unsigned int max, const struct vb_runs *runs,
			  unsigned int from, bool foreign)
{
	unsigned int size = runs->scale << runs->order;
	unsigned int run = from / size;
	unsigned int next = from % size;
	unsigned int nr = 0;
	u32 pfn;

	for (; nr < max && run < runs->nr; run++, next = 0) {
		pfn = runs->pfn[run] * runs->scale + next;
		for (; nr < max && next < size; next++, pfn++)
			to[nr++] = foreign ? swab32(pfn) : pfn;
	}
	return nr;
}
