// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the tests of the driver's pure code and reports in KTAP.
 *
 * unit [SEED]: the seed of the random tests; without it, the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "unit.h"

static u64 state;
static jmp_buf failed;

/* splitmix64 */
u64 unit_random(void)
{
	u64 z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

u64 unit_below(u64 end)
{
	return unit_random() % end;
}

u64 unit_magnitude(void)
{
	return unit_random() >> unit_below(64);
}

u64 unit_edge(void)
{
	static const u64 edges[] = {
		0, 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX,
	};
	u64 edge = edges[unit_below(sizeof(edges) / sizeof(*edges))];

	return edge + unit_below(5) - 2;
}

void unit_fail(const char *file, int line, const char *cond,
	       const char *format, ...)
{
	va_list args;

	printf("# %s:%d: not true: %s: ", file, line, cond);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	longjmp(failed, 1);
}

static unsigned int count(const struct unit_test *test)
{
	unsigned int nr = 0;

	while (test[nr].name)
		nr++;
	return nr;
}

static bool run(const struct unit_test *test, u64 seed)
{
	static unsigned int number;
	bool ok;

	/* Each test starts from the seed, so that it can be run alone. */
	state = seed;
	ok = !setjmp(failed);
	if (ok)
		test->run();
	printf("%sok %u %s\n", ok ? "" : "not ", ++number, test->name);
	return ok;
}

int main(int argc, char **argv)
{
	const struct unit_test *tables[] = { policy_tests, pfn_tests };
	const unsigned int nr = sizeof(tables) / sizeof(*tables);
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (u64)time(NULL);
	const struct unit_test *test;
	unsigned int total = 0;
	unsigned int bad = 0;
	unsigned int i;

	/* A line at a time: a sanitizer ends the program without flushing. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < nr; i++)
		total += count(tables[i]);
	printf("KTAP version 1\n# seed %llu\n1..%u\n",
	       (unsigned long long)seed, total);
	for (i = 0; i < nr; i++)
		for (test = tables[i]; test->name; test++)
			bad += !run(test, seed);
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
