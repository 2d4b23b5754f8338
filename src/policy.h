/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How much memory the balloon takes: plain integers in, one goal out.  No kernel
 * call here, so that tests/unit compiles the same text in user space.
 */
#ifndef VB_POLICY_H
#define VB_POLICY_H

#include <linux/types.h>

/**
 * VB_LIMITS() - what keeps the balloon from its target, as a person reads it
 * @x: macro to apply to each: x(enum value, name, reason), where the reason is
 *     what the log says; NULL if the limit is said otherwise, or not at all
 *
 * Documentation/ABI/testing/sysfs-driver-vballoon explains the names; `scripts/
 * style docs` compares the two.
 */
#define VB_LIMITS(x)							\
	/* nothing does */						\
	x(VB_LIMIT_NONE, "none", NULL),					\
	/* the guest would be left with less than its reservation */	\
	x(VB_LIMIT_RESERVE, "reserve",					\
	  "its memory is at the reservation"),				\
	/* too little is available, or the allocator gave up no page */	\
	x(VB_LIMIT_MEMORY, "memory", "too little memory is available"),	\
	/* the guest ran out of memory a short while ago */		\
	x(VB_LIMIT_OOM, "oom", "it ran out of memory a short while ago"), \
	/* the host does not answer; vb_state_set() logs the silence */	\
	x(VB_LIMIT_HOST, "host", NULL)

#define VB_LIMIT_ENUM(limit, name, reason)	limit
enum vb_limit {
	VB_LIMITS(VB_LIMIT_ENUM),
	VB_NR_LIMITS
};

/**
 * struct vb_view - what the policy looks at
 * @now: time in ms, from any start; never goes back
 * @target: pages that the host wants in the balloon
 * @held: pages in the balloon and on their way into it
 * @total: pages that the guest would have with an empty balloon
 * @available: pages that the guest could allocate without swapping
 * @reserve: pages that the guest keeps whatever the host wants
 * @floor: pages that an inflation leaves available
 * @singles: pages in the balloon that are not in blocks
 * @block: pages in a block; 0 if single pages are not exchanged for blocks
 *
 * All pages are guest pages (PAGE_SIZE).
 */
struct vb_view {
	u64 now;
	u64 target;
	u64 held;
	u64 total;
	u64 available;
	u64 reserve;
	u64 floor;
	u64 singles;
	u64 block;
};

/**
 * struct vb_policy - what the policy remembers
 * @target: the target it saw last, in pages
 * @retry_at: no inflation before this time, in ms
 * @pause: the last pause after a shortage, in ms; 0 for none
 * @why: the reason for @retry_at, or VB_LIMIT_NONE; VB_LIMIT_OOM stays until a
 *       target is reached
 * @exchange_at: no exchange before this time, in ms
 * @exchange_pause: the last pause after a failed exchange, in ms; 0 for none
 *
 * The guard is the caller's: only the worker calls the policy.
 */
struct vb_policy {
	u64 target;
	u64 retry_at;
	u64 pause;
	enum vb_limit why;
	u64 exchange_at;
	u64 exchange_pause;
};

/**
 * struct vb_goal - what to do next
 * @step: guest pages to inflate (above 0) or to deflate (below 0)
 * @delay: if @step is 0: ask again after this many ms; 0 for "only when
 *         something changes"
 * @limited_by: what keeps the balloon from its target
 * @exchange: @step is one block beyond the target; as many single pages leave
 *            afterwards
 */
struct vb_goal {
	s64 step;
	u32 delay;
	enum vb_limit limited_by;
	bool exchange;
};

struct vb_goal vb_policy_goal(struct vb_policy *policy,
			      const struct vb_view *view);
void vb_policy_short(struct vb_policy *policy, enum vb_limit why, u64 now);
void vb_policy_fed(struct vb_policy *policy);
void vb_policy_exchanged(struct vb_policy *policy, bool done, u64 now);
u64 vb_policy_reserve(u64 total, unsigned int page_shift);
u64 vb_policy_floor(u64 total, unsigned int page_shift);

#endif
