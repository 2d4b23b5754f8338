// SPDX-License-Identifier: GPL-2.0
/*
 * Page frame numbers, sorted and written for the host.
 *
 * The page allocator hands out pages in long ascending stretches.  A merge sort
 * that starts from these stretches needs a handful of passes; the kernel's
 * sort() would take a third of the time of an inflation.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#include <linux/swab.h>
#else
#include <string.h>
#define swab32 __builtin_bswap32
#endif

#include "pfn.h"

/* The end of the ascending stretch that begins at @i. */
static unsigned int vb_stretch_end(const u32 *pfn, unsigned int i,
				   unsigned int nr)
{
	if (i == nr)
		return nr;
	do {
		i++;
	} while (i < nr && pfn[i - 1] <= pfn[i]);
	return i;
}

/* Merge the first stretch with the second, the third with the fourth, etc. */
static void vb_merge_stretches(const u32 *from, u32 *to, unsigned int nr)
{
	unsigned int a, a_end, b, b_end;
	unsigned int out = 0;

	while (out < nr) {
		a = out;
		a_end = vb_stretch_end(from, a, nr);
		b = a_end;
		b_end = vb_stretch_end(from, b, nr);
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
 * @scratch: room for @nr PFNs; its content is lost
 * @nr: PFNs in @pfn
 *
 * Context: Any.
 */
void vb_pfn_sort(u32 *pfn, u32 *scratch, unsigned int nr)
{
	u32 *from = pfn;
	u32 *to = scratch;
	u32 *swap;

	while (vb_stretch_end(from, 0, nr) < nr) {
		vb_merge_stretches(from, to, nr);
		swap = from;
		from = to;
		to = swap;
	}
	if (from != pfn)
		memcpy(pfn, from, nr * sizeof(*pfn));
}

/**
 * vb_pfn_write() - write PFNs as the host reads them
 * @to: gets the PFNs
 * @max: PFNs that fit into @to
 * @runs: the guest pages
 * @from: PFNs of @runs that earlier calls have written
 * @swap_bytes: the device's byte order is not the CPU's
 *
 * A PFN counts pages of 4 KiB, whatever the size of a guest page (virtio 1.3,
 * 5.5.6).  On a legacy device it has the guest's byte order ("Legacy
 * Interface" there).
 *
 * Context: Any.
 * Return: PFNs written; fewer than @max only where @runs end.
 */
unsigned int vb_pfn_write(u32 *to, unsigned int max, const struct vb_runs *runs,
			  unsigned int from, bool swap_bytes)
{
	unsigned int size = runs->scale << runs->order;
	unsigned int run = from / size;
	unsigned int next = from % size;
	unsigned int nr = 0;
	u32 pfn;

	for (; nr < max && run < runs->nr; run++, next = 0) {
		pfn = runs->pfn[run] * runs->scale + next;
		for (; nr < max && next < size; next++, pfn++)
			to[nr++] = swap_bytes ? swab32(pfn) : pfn;
	}
	return nr;
}
