/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of tests, and what a test says about itself.
 */
#ifndef UNIT_H
#define UNIT_H

#include <linux/types.h>

/**
 * struct unit_test - one test
 * @name: as it is reported
 * @run: returns if the test passed
 */
struct unit_test {
	const char *name;
	void (*run)(void);
};

/* Ends the test as failed unless @cond is true; the rest is for printf(). */
#define EXPECT(cond, ...) \
	do { \
		if (!(cond)) \
			unit_fail(__FILE__, __LINE__, #cond, __VA_ARGS__); \
	} while (0)

void unit_fail(const char *file, int line, const char *cond,
	       const char *format, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

/* Random numbers: all of 64 bits; below @end; of any magnitude; at an edge. */
u64 unit_random(void);
u64 unit_below(u64 end);
u64 unit_magnitude(void);
u64 unit_edge(void);

/* The tables, each ended by an entry without a name. */
extern const struct unit_test policy_tests[];
extern const struct unit_test pfn_tests[];

#endif
