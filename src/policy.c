// SPDX-License-Identifier: GPL-2.0
#include "policy.h"

/* Delays after a shortage: doubled each time, from the first to the last. */
#define VB_SHORT_FIRST_MS	1000
#define VB_OOM_FIRST_MS		16000
#define VB_DELAY_LAST_MS	64000

/* An inflation leaves at least 1/32 of the guest's memory available. */
#define VB_FLOOR_SHARE		32
/* By default the guest keeps 1/32 of its memory, but not less than 64 MiB. */
#define VB_RESERVE_SHARE	32
#define VB_RESERVE_LEAST	(64ULL << 20)

/* Steps are signed, and times end somewhere. */
#define VB_STEP_MAX		(~0ULL >> 1)
#define VB_TIME_MAX		(~0ULL)

static u64 vb_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static u64 vb_less(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

/**
 * vb_policy_reserve() - the default reservation
 * @total: pages that the guest has with an empty balloon
 * @page_shift: log2 of the page size
 *
 * Return: pages that the guest keeps when nobody said otherwise.
 */
u64 vb_policy_reserve(u64 total, unsigned int page_shift)
{
	u64 least = VB_RESERVE_LEAST >> page_shift;
	u64 share = total / VB_RESERVE_SHARE;

	return vb_min(share > least ? share : least, total);
}

/**
 * vb_policy_short() - the guest could not or should not give more
 * @policy: the policy
 * @why: what was short
 * @now: time in ms
 *
 * Inflation pauses; each shortage in a row doubles the pause.
 */
void vb_policy_short(struct vb_policy *policy, enum vb_limit why, u64 now)
{
	u64 delay = why == VB_LIMIT_OOM ? VB_OOM_FIRST_MS : VB_SHORT_FIRST_MS;
	unsigned int i;

	for (i = 0; i < policy->shortages && delay < VB_DELAY_LAST_MS; i++)
		delay *= 2;
	policy->shortages = i + 1;
	delay = vb_min(delay, VB_DELAY_LAST_MS);
	policy->retry_at = now + vb_min(delay, VB_TIME_MAX - now);
	policy->why = why;
}

/**
 * vb_policy_fed() - the guest gave all that it was asked for in one step
 * @policy: the policy
 */
void vb_policy_fed(struct vb_policy *policy)
{
	policy->shortages = 0;
	policy->why = VB_LIMIT_NONE;
}

/*
 * A new target is a new question: ask the guest at once.  But a host that
 * asks for more, soon after the guest ran out of memory, has to wait.
 */
static void vb_policy_retarget(struct vb_policy *policy, u64 target)
{
	bool less = target < policy->target;

	if (target == policy->target)
		return;
	policy->target = target;
	if (policy->why != VB_LIMIT_OOM || less) {
		vb_policy_fed(policy);
		policy->retry_at = 0;
	}
}

/**
 * vb_policy_goal() - decide what to do next
 * @policy: the policy
 * @view: what is known of guest and host
 *
 * A target below @view->held is always followed.  One above is followed as
 * long as the guest keeps its reservation and some available memory: the host
 * "SHOULD" get its pages (virtio 1.3, 5.5.6.1), it has no right to them.
 *
 * Return: the goal.
 */
struct vb_goal vb_policy_goal(struct vb_policy *policy,
			      const struct vb_view *view)
{
	u64 most = vb_less(view->total, view->reserve);
	u64 reachable = vb_min(view->target, most);
	u64 room = vb_less(view->available, view->total / VB_FLOOR_SHARE);
	struct vb_goal goal = { .limited_by = VB_LIMIT_NONE };

	vb_policy_retarget(policy, view->target);

	if (view->target < view->held) {
		goal.step = -(s64)vb_min(view->held - view->target, VB_STEP_MAX);
		return goal;
	}
	if (view->held >= reachable) {
		if (view->held < view->target)
			goal.limited_by = VB_LIMIT_RESERVE;
		return goal;
	}
	if (!room && policy->retry_at <= view->now)
		vb_policy_short(policy, VB_LIMIT_MEMORY, view->now);
	if (!room || policy->retry_at > view->now) {
		goal.delay = vb_less(policy->retry_at, view->now);
		goal.limited_by = policy->why;
		return goal;
	}
	goal.step = vb_min(vb_min(reachable - view->held, room), VB_STEP_MAX);
	return goal;
}
