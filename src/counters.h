/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What has been done since the device was bound.
 */
#ifndef VB_COUNTERS_H
#define VB_COUNTERS_H

#include <linux/atomic.h>

/**
 * VB_COUNTERS() - all counters: their names here, and in balloon/stats/
 * @x: macro to apply to each: x(enum value, name of the file)
 *
 * Documentation/ABI/testing/sysfs-driver-vballoon says what a person reads of
 * each of them; `scripts/style docs` compares the two.
 */
#define VB_COUNTERS(x)							\
	/* guest pages that entered the balloon */			\
	x(VB_INFLATED, inflated_pages),					\
	/* guest pages that left the balloon */				\
	x(VB_DEFLATED, deflated_pages),					\
	/* single pages that the kernel replaced: compaction, offlining */	\
	x(VB_MIGRATED, migrated_pages),					\
	/* single pages that made way for a block */			\
	x(VB_EXCHANGED, exchanged_pages),				\
	/* guest pages given back because memory had run out */		\
	x(VB_OOM_PAGES, oom_pages),					\
	/* times the guest could not give a page */			\
	x(VB_SHORTAGES, shortages),					\
	/* notifications sent to the host about pages */		\
	x(VB_KICKS, notifications),					\
	/* buffers of pages that the host has acknowledged */		\
	x(VB_BUFFERS, buffers),						\
	/* writes of the device's `actual` */				\
	x(VB_ACTUAL_WRITES, actual_writes),				\
	/* times that statistics were handed to the host */		\
	x(VB_STATS_SENT, statistics),					\
	/* times the host fell silent */				\
	x(VB_SILENCES, silences),					\
	/* guest pages named as free to a host that migrates */		\
	x(VB_HINTED, hinted_pages),					\
	/* free guest pages that were reported to the host */		\
	x(VB_REPORTED, reported_pages)

#define VB_COUNTER_ENUM(counter, file)	counter
enum vb_counter {
	VB_COUNTERS(VB_COUNTER_ENUM),
	VB_NR_COUNTERS
};

/**
 * struct vb_counters - the counters of a device
 * @value: by enum vb_counter, each in its own unit; atomic
 */
struct vb_counters {
	atomic_long_t value[VB_NR_COUNTERS];
};

/**
 * vb_counters_add() - count
 * @counters: the counters
 * @counter: which of them
 * @n: how much to add, in the counter's unit
 *
 * Context: Any.
 */
static inline void vb_counters_add(struct vb_counters *counters,
				   enum vb_counter counter, long n)
{
	atomic_long_add(n, &counters->value[counter]);
}

/**
 * vb_counters_read() - read a counter
 * @counters: the counters
 * @counter: which of them
 *
 * Context: Any.
 * Return: its value, in the counter's unit.
 */
static inline long vb_counters_read(struct vb_counters *counters,
				    enum vb_counter counter)
{
	return atomic_long_read(&counters->value[counter]);
}

#endif
