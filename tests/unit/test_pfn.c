// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "../../src/pfn.h"
#include "unit.h"

#define MOST	2048U
#define ROUNDS	400

static const unsigned int sizes[] = { 0, 1, 2, 3, 255, 256, 257, MOST - 1, MOST };

static int compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a;
	u32 y = *(const u32 *)b;

	return (x > y) - (x < y);
}

/* Sorts in memory of exactly that size, so that ASan sees a step beyond. */
static void expect_sorted(const u32 *pfn, unsigned int nr)
{
	size_t size = nr * sizeof(*pfn);
	u32 *scratch = malloc(size);
	u32 *wanted = malloc(size);
	u32 *got = malloc(size);
	unsigned int i;

	if (nr) {
		memcpy(wanted, pfn, size);
		memcpy(got, pfn, size);
		qsort(wanted, nr, sizeof(*wanted), compare);
	}
	vb_pfn_sort(got, scratch, nr);
	for (i = 0; i < nr; i++)
		EXPECT(got[i] == wanted[i], "%u PFNs, the %uth is %u, not %u",
		       nr, i, got[i], wanted[i]);
	free(got);
	free(wanted);
	free(scratch);
}

static void sort_all_sizes(void (*fill)(u32 *pfn, unsigned int nr))
{
	static u32 pfn[MOST];
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		fill(pfn, sizes[i]);
		expect_sorted(pfn, sizes[i]);
	}
	for (i = 0; i < ROUNDS; i++) {
		unsigned int nr = unit_below(MOST + 1);

		fill(pfn, nr);
		expect_sorted(pfn, nr);
	}
}

static void fill_random(u32 *pfn, unsigned int nr)
{
	while (nr--)
		pfn[nr] = unit_random();
}

static void fill_ascending(u32 *pfn, unsigned int nr)
{
	while (nr--)
		pfn[nr] = nr;
}

static void fill_descending(u32 *pfn, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		pfn[i] = UINT32_MAX - i;
}

static void fill_equal(u32 *pfn, unsigned int nr)
{
	while (nr--)
		pfn[nr] = 7;
}

static void fill_duplicates(u32 *pfn, unsigned int nr)
{
	while (nr--)
		pfn[nr] = unit_below(4) * (UINT32_MAX / 3);
}

/* What the page allocator gives: runs of ascending pages, or of descending. */
static void fill_runs(u32 *pfn, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		unsigned int left = 1 + unit_below(300);
		u32 step = unit_below(4) ? 1 : -1;
		u32 next = unit_random();

		for (; left && i < nr; left--, next += step)
			pfn[i++] = next;
	}
}

static void fill_organ_pipe(u32 *pfn, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		pfn[i] = i < nr / 2 ? i : nr - i;
}

static void test_random(void)
{
	sort_all_sizes(fill_random);
}

static void test_ascending(void)
{
	sort_all_sizes(fill_ascending);
}

static void test_descending(void)
{
	sort_all_sizes(fill_descending);
}

static void test_equal(void)
{
	sort_all_sizes(fill_equal);
}

static void test_duplicates(void)
{
	sort_all_sizes(fill_duplicates);
}

static void test_runs(void)
{
	sort_all_sizes(fill_runs);
}

static void test_organ_pipe(void)
{
	sort_all_sizes(fill_organ_pipe);
}

/* Written in pieces, the runs are all their 4 KiB pages, in order. */
static void expect_written(const struct vb_runs *runs, bool foreign)
{
	unsigned int size = runs->scale << runs->order;
	unsigned int all = runs->nr * size;
	unsigned int done, max, nr, i;

	for (done = 0; done < all; done += nr) {
		u32 *to, wanted;

		max = 1 + unit_below(512);
		to = malloc(max * sizeof(*to));
		nr = vb_pfn_write(to, max, runs, done, foreign);
		EXPECT(nr == (max < all - done ? max : all - done),
		       "%u of %u PFNs after %u, of %u", nr, max, done, all);
		for (i = 0; i < nr; i++) {
			wanted = runs->pfn[(done + i) / size] * runs->scale +
				 (done + i) % size;
			if (foreign)
				wanted = wanted >> 24 | (wanted >> 8 & 0xff00) |
					 (wanted & 0xff00) << 8 | wanted << 24;
			EXPECT(to[i] == wanted, "PFN %u is %#x, not %#x",
			       done + i, to[i], wanted);
		}
		free(to);
	}
	EXPECT(!vb_pfn_write(NULL, 256, runs, all, foreign), "PFNs of nothing");
}

static void write_all(unsigned int scale, bool foreign)
{
	/* a single page, and 2 MiB of pages of 4, 16 and 64 KiB */
	const unsigned int orders[] = { 0, scale == 1 ? 9 : scale == 4 ? 7 : 5 };
	u32 pfn[40];
	unsigned int i, nr;

	for (i = 0; i < 2; i++) {
		struct vb_runs runs = { .pfn = pfn, .order = orders[i], .scale = scale };

		for (nr = 0; nr <= 40; nr++) {
			fill_random(pfn, nr);
			/* what a balloon may have: vb_pfn_tellable() */
			for (runs.nr = 0; runs.nr < nr; runs.nr++)
				pfn[runs.nr] = pfn[runs.nr] / scale >> orders[i] <<
					       orders[i];
			expect_written(&runs, foreign);
		}
	}
}

static void test_write(void)
{
	write_all(1, false);
}

static void test_write_large(void)
{
	write_all(4, false);
	write_all(16, false);
}

static void test_write_foreign(void)
{
	write_all(1, true);
	write_all(16, true);
}

const struct unit_test pfn_tests[] = {
	{ "pfn: sorts random numbers", test_random },
	{ "pfn: leaves sorted ones", test_ascending },
	{ "pfn: sorts descending ones", test_descending },
	{ "pfn: leaves equal ones", test_equal },
	{ "pfn: sorts duplicates", test_duplicates },
	{ "pfn: sorts the runs of an allocator", test_runs },
	{ "pfn: sorts an organ pipe", test_organ_pipe },
	{ "pfn: writes blocks and pages", test_write },
	{ "pfn: writes pages of 16 and 64 KiB", test_write_large },
	{ "pfn: writes in the other byte order", test_write_foreign },
	{ }
};
