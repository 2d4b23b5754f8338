// SPDX-License-Identifier: GPL-2.0
#include "policy.h"

/*
 * A pause after a shortage doubles with each, from the first to the last.  The
 * last one is short, since nothing tells the driver that memory was freed, or
 * was plugged in: the driver has to look.
 */
#define VB_SHORT_FIRST_MS	200
#define VB_SHORT_LAST_MS	10000
/*
 * The same after an OOM.  These pauses are long: the programs that just had the
 * memory of the balloon may be about to ask for it again, and each time the host
 * would have to find it at once.
 */
#define VB_OOM_FIRST_MS		16000
#define VB_OOM_LAST_MS		64000
/* The same after exchanges that failed: nobody waits for an exchange. */
#define VB_EXCHANGE_FIRST_MS	1000
#define VB_EXCHANGE_LAST_MS	64000
/* Time between two exchanges: 2 MiB each, so at most 20 MiB a second. */
#define VB_EXCHANGE_MS		100

/*
 * The floor: an inflation leaves 1/64 of the guest's memory available, at least
 * 16 MiB.  Available memory does not include the kernel's watermarks
 * (si_mem_available()).  Reclaim makes the available memory go up and down by a
 * little, so an inflation goes on only when an eighth of the floor is available
 * above the floor.
 */
#define VB_FLOOR_SHARE		64
#define VB_FLOOR_LEAST		(16ULL << 20)
#define VB_ROOM_SHARE		8
/* The default reservation is 1/32 of the guest's memory, at least 64 MiB. */
#define VB_RESERVE_SHARE	32
#define VB_RESERVE_LEAST	(64ULL << 20)

/* The largest s64 and the largest u64: sums are cut off instead of wrapping. */
#define VB_STEP_MAX		(~0ULL >> 1)
#define VB_TIME_MAX		(~0ULL)

static u64 vb_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static u64 vb_sub_floor(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

static u64 vb_later(u64 now, u64 pause)
{
	return now + vb_min(pause, VB_TIME_MAX - now);
}

static u64 vb_share(u64 total, unsigned int share, u64 least)
{
	u64 part = total / share;

	return vb_min(part > least ? part : least, total);
}

/**
 * vb_policy_reserve() - the default reservation
 * @total: guest pages that the guest has with an empty balloon
 * @page_shift: log2 of the bytes in a guest page
 *
 * Context: Any.
 * Return: guest pages.
 */
u64 vb_policy_reserve(u64 total, unsigned int page_shift)
{
	return vb_share(total, VB_RESERVE_SHARE, VB_RESERVE_LEAST >> page_shift);
}

/**
 * vb_policy_floor() - how much memory an inflation leaves available
 * @total: guest pages that the guest has with an empty balloon
 * @page_shift: log2 of the bytes in a guest page
 *
 * Context: Any.
 * Return: guest pages.
 */
u64 vb_policy_floor(u64 total, unsigned int page_shift)
{
	return vb_share(total, VB_FLOOR_SHARE, VB_FLOOR_LEAST >> page_shift);
}

/* Twice the last pause, between the first and the last one of its kind. */
static u64 vb_policy_longer(u64 pause, u64 first, u64 last)
{
	return vb_min(pause * 2 > first ? pause * 2 : first, last);
}

/**
 * vb_policy_short() - pause the inflation after a shortage
 * @policy: the policy
 * @why: what was short
 * @now: time in ms
 *
 * Each shortage doubles the pause.  The kernel may call the OOM notifiers many
 * times while memory stays short, so another OOM during a pause, in which the
 * balloon has not grown, begins the pause again without doubling it.  While an
 * OOM is remembered, the pause after any other shortage is VB_SHORT_LAST_MS, and
 * the next OOM doubles the last OOM's.
 *
 * Context: Any; the caller excludes other callers of the policy.
 */
void vb_policy_short(struct vb_policy *policy, enum vb_limit why, u64 now)
{
	bool oom = policy->why == VB_LIMIT_OOM;
	u64 pause = policy->pause;

	if (why != VB_LIMIT_OOM && oom)
		pause = VB_SHORT_LAST_MS;
	else if (why != VB_LIMIT_OOM)
		pause = vb_policy_longer(pause, VB_SHORT_FIRST_MS,
					 VB_SHORT_LAST_MS);
	else if (!oom)
		pause = VB_OOM_FIRST_MS;
	else if (policy->retry_at <= now)
		pause = vb_policy_longer(pause, VB_OOM_FIRST_MS, VB_OOM_LAST_MS);
	policy->retry_at = vb_later(now, pause);
	if (oom && why != VB_LIMIT_OOM)
		return;
	policy->pause = pause;
	policy->why = why;
}

static void vb_policy_forget(struct vb_policy *policy)
{
	policy->pause = 0;
	policy->retry_at = 0;
	policy->why = VB_LIMIT_NONE;
}

/**
 * vb_policy_fed() - the guest gave pages for a step
 * @policy: the policy
 *
 * The next shortage pauses as the first one did.  A pause after an OOM is
 * forgotten only when a target is reached.
 *
 * Context: Any; the caller excludes other callers of the policy.
 */
void vb_policy_fed(struct vb_policy *policy)
{
	if (policy->why != VB_LIMIT_OOM)
		vb_policy_forget(policy);
}

/**
 * vb_policy_exchanged() - an exchange was tried
 * @policy: the policy
 * @done: true if the guest could spare a block
 * @now: time in ms
 *
 * The next exchange is due after VB_EXCHANGE_MS, or after a failure when a pause
 * has passed that doubles with each failure.
 *
 * Context: Any; the caller excludes other callers of the policy.
 */
void vb_policy_exchanged(struct vb_policy *policy, bool done, u64 now)
{
	if (done)
		policy->exchange_pause = 0;
	else if (policy->exchange_pause)
		policy->exchange_pause = vb_min(policy->exchange_pause * 2,
						VB_EXCHANGE_LAST_MS);
	else
		policy->exchange_pause = VB_EXCHANGE_FIRST_MS;
	policy->exchange_at = vb_later(now, done ? VB_EXCHANGE_MS :
					    policy->exchange_pause);
}

/*
 * A balloon at its target tries to exchange single pages for blocks.  It took
 * the single pages while the guest's memory was fragmented; by now a block may
 * be free.
 */
static void vb_policy_exchange(struct vb_policy *policy,
			       const struct vb_view *view,
			       struct vb_goal *goal)
{
	u64 most = vb_sub_floor(view->total, view->reserve);
	u64 room = vb_sub_floor(vb_sub_floor(view->available, view->floor),
			   view->floor / VB_ROOM_SHARE);
	bool fits;

	if (view->held != view->target || !view->block ||
	    view->singles < view->block)
		return;
	fits = vb_sub_floor(most, view->held) >= view->block && room >= view->block;
	if (policy->exchange_at <= view->now && !fits)
		vb_policy_exchanged(policy, false, view->now);
	goal->delay = vb_sub_floor(policy->exchange_at, view->now);
	if (goal->delay || !fits)
		return;
	goal->step = vb_min(view->block, VB_STEP_MAX);
	goal->exchange = true;
}

/*
 * A new target ends the pause after a shortage, so that the guest is asked at
 * once.  It does not end the pause after an OOM: that is forgotten when a target
 * is reached and the pause is over, or when a new target needs no inflation.
 */
static void vb_policy_retarget(struct vb_policy *policy,
			       const struct vb_view *view)
{
	bool changed = view->target != policy->target;

	policy->target = view->target;
	if (changed) {
		vb_policy_fed(policy);
		policy->exchange_pause = 0;
		policy->exchange_at = vb_later(view->now, VB_EXCHANGE_FIRST_MS);
	}
	if (view->target <= view->held &&
	    (changed || policy->retry_at <= view->now))
		vb_policy_forget(policy);
}

/**
 * vb_policy_goal() - decide what to do next
 * @policy: the policy
 * @view: the state of guest and host
 *
 * The policy always follows a target below @view->held.  It follows a target
 * above while the guest keeps its reservation and the floor: the driver only
 * "SHOULD" give the host its pages (virtio 1.3, 5.5.6.1).
 *
 * Context: Any; the caller excludes other callers of the policy.
 * Return: the goal.
 */
struct vb_goal vb_policy_goal(struct vb_policy *policy,
			      const struct vb_view *view)
{
	u64 most = vb_sub_floor(view->total, view->reserve);
	u64 reachable = vb_min(view->target, most);
	u64 wanted = vb_sub_floor(reachable, view->held);
	u64 room = vb_sub_floor(view->available, view->floor);
	struct vb_goal goal = { .limited_by = VB_LIMIT_NONE };

	vb_policy_retarget(policy, view);

	if (view->target < view->held) {
		goal.step = -(s64)vb_min(view->held - view->target, VB_STEP_MAX);
		return goal;
	}
	if (!wanted) {
		if (view->held < view->target) {
			goal.limited_by = VB_LIMIT_RESERVE;
			/* Nothing tells the driver that memory was plugged in. */
			goal.delay = VB_SHORT_LAST_MS;
		}
		vb_policy_exchange(policy, view, &goal);
		return goal;
	}
	if (room < vb_min(wanted, view->floor / VB_ROOM_SHARE))
		room = 0;
	if (!room && policy->retry_at <= view->now)
		vb_policy_short(policy, VB_LIMIT_MEMORY, view->now);
	if (!room || policy->retry_at > view->now) {
		goal.delay = vb_sub_floor(policy->retry_at, view->now);
		goal.limited_by = policy->why;
		return goal;
	}
	goal.step = vb_min(vb_min(wanted, room), VB_STEP_MAX);
	return goal;
}
