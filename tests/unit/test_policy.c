// SPDX-License-Identifier: GPL-2.0
#include "../../src/policy.h"
#include "unit.h"

#define ROUNDS		200000
#define DELAY_LAST	64000	/* no pause is longer, in ms */
#define DELAY_FIRST	200	/* the shortest, but between exchanges */
#define DELAY_SHORT	10000	/* nor one that no OOM began */

#define PRINT_VIEW	"now %llu target %llu held %llu total %llu available %llu reserve %llu: step %lld delay %u limited_by %u"
#define ARGS_VIEW(v, g) \
	(unsigned long long)(v)->now, (unsigned long long)(v)->target, \
	(unsigned long long)(v)->held, (unsigned long long)(v)->total, \
	(unsigned long long)(v)->available, \
	(unsigned long long)(v)->reserve, (long long)(g)->step, (g)->delay, \
	(unsigned int)(g)->limited_by

#define VIEW(n, t, h, all, a, r, f) { \
		.now = n, .target = t, .held = h, .total = all, \
		.available = a, .reserve = r, .floor = f }

/* A guest of 1000 pages at rest: 15 pages are its floor. */
static const struct vb_view plain = {
	.now = 1000000, .total = 1000, .available = 900, .reserve = 100,
	.floor = 15,
};

static struct vb_goal goal_of(struct vb_policy *policy, u64 now, u64 target)
{
	struct vb_view view = plain;

	view.now = now;
	view.target = target;
	return vb_policy_goal(policy, &view);
}

static void test_decisions(void)
{
	static const struct {
		struct vb_view view;
		s64 step;
		enum vb_limit limited_by;
	} cases[] = {
		{ VIEW(0, 0, 0, 1000, 900, 100, 15), 0, VB_LIMIT_NONE },
		{ VIEW(0, 500, 500, 1000, 400, 100, 15), 0, VB_LIMIT_NONE },
		{ VIEW(0, 500, 0, 1000, 900, 100, 15), 500, VB_LIMIT_NONE },
		{ VIEW(0, 500, 499, 1000, 900, 100, 15), 1, VB_LIMIT_NONE },
		{ VIEW(0, 0, 500, 1000, 400, 100, 15), -500, VB_LIMIT_NONE },
		{ VIEW(0, 499, 500, 1000, 400, 100, 15), -1, VB_LIMIT_NONE },
		/* as far as the reservation, and not a page further */
		{ VIEW(0, 1000, 0, 1000, 1000, 100, 15), 900, VB_LIMIT_NONE },
		{ VIEW(0, 1000, 899, 1000, 1000, 100, 15), 1, VB_LIMIT_NONE },
		{ VIEW(0, 1000, 900, 1000, 1000, 100, 15), 0, VB_LIMIT_RESERVE },
		{ VIEW(0, 901, 900, 1000, 1000, 100, 15), 0, VB_LIMIT_RESERVE },
		{ VIEW(0, 900, 900, 1000, 1000, 100, 15), 0, VB_LIMIT_NONE },
		{ VIEW(0, 10, 0, 1000, 1000, 1000, 15), 0, VB_LIMIT_RESERVE },
		{ VIEW(0, 10, 0, 1000, 1000, 2000, 15), 0, VB_LIMIT_RESERVE },
		/* a reservation that grew deflates nothing by itself */
		{ VIEW(0, 950, 900, 1000, 100, 500, 15), 0, VB_LIMIT_RESERVE },
		{ VIEW(0, 800, 900, 1000, 100, 500, 15), -100, VB_LIMIT_NONE },
		/* what is available, less 1/64 of the total */
		{ VIEW(0, 500, 0, 1000, 25, 100, 15), 10, VB_LIMIT_NONE },
		{ VIEW(0, 500, 0, 1000, 16, 100, 15), 1, VB_LIMIT_NONE },
		{ VIEW(0, 500, 0, 1000, 15, 100, 15), 0, VB_LIMIT_MEMORY },
		{ VIEW(0, 500, 0, 1000, 0, 100, 15), 0, VB_LIMIT_MEMORY },
		/* a little more than that is not worth a step, but to end */
		{ VIEW(0, 50000, 0, 64000, 1124, 100, 1000), 0, VB_LIMIT_MEMORY },
		{ VIEW(0, 50000, 0, 64000, 1125, 100, 1000), 125, VB_LIMIT_NONE },
		{ VIEW(0, 50000, 49990, 64000, 1010, 100, 1000), 10, VB_LIMIT_NONE },
		/* a guest without memory does not stop a deflation */
		{ VIEW(0, 400, 500, 1000, 0, 100, 15), -100, VB_LIMIT_NONE },
		{ VIEW(0, 0, 0, 0, 0, 0, 0), 0, VB_LIMIT_NONE },
		{ VIEW(0, 1, 0, 0, 0, 0, 0), 0, VB_LIMIT_RESERVE },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vb_policy policy = { 0 };
		struct vb_goal goal = vb_policy_goal(&policy, &cases[i].view);

		EXPECT(goal.step == cases[i].step &&
		       goal.limited_by == cases[i].limited_by,
		       "case %u: " PRINT_VIEW, i,
		       ARGS_VIEW(&cases[i].view, &goal));
		EXPECT(!goal.delay == (goal.limited_by == VB_LIMIT_NONE),
		       "case %u: delay %u", i, goal.delay);
	}
}

static void test_reserve(void)
{
	static const struct {
		u64 total;
		unsigned int page_shift;
		u64 reserve;
	} cases[] = {
		{ 0, 12, 0 },
		{ 1, 12, 1 },
		{ (64 << 20) >> 12, 12, 16384 },	/* all of 64 MiB */
		{ (128 << 20) >> 12, 12, 16384 },
		{ 1ULL << 19, 12, 16384 },		/* 2 GiB */
		{ 1ULL << 20, 12, 32768 },		/* 4 GiB */
		{ 1ULL << 16, 16, 2048 },		/* 4 GiB in 64 KiB */
		{ 1ULL << 14, 16, 1024 },
		{ UINT64_MAX, 12, UINT64_MAX / 32 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		u64 got = vb_policy_reserve(cases[i].total, cases[i].page_shift);

		EXPECT(got == cases[i].reserve, "case %u: %llu, not %llu", i,
		       (unsigned long long)got,
		       (unsigned long long)cases[i].reserve);
	}
}

static void test_floor(void)
{
	EXPECT(vb_policy_floor(1ULL << 20, 12) == 16384, "4 GiB");
	EXPECT(vb_policy_floor(1ULL << 18, 12) == 4096, "1 GiB");
	EXPECT(vb_policy_floor(1ULL << 15, 12) == 4096, "128 MiB");
	EXPECT(vb_policy_floor(1ULL << 16, 16) == 1024, "4 GiB in 64 KiB");
	EXPECT(vb_policy_floor(7, 12) == 7, "no more than there is");
}

/* Shortages in a row: each pause is longer than the one before, up to the last. */
static void expect_growing(enum vb_limit why, u32 first, u32 longest)
{
	struct vb_policy policy = { 0 };
	u64 now = plain.now;
	unsigned int i;
	u32 last = 0;

	goal_of(&policy, now, 500);
	for (i = 0; i < 1000; i++) {
		struct vb_goal goal;

		vb_policy_short(&policy, why, now);
		goal = goal_of(&policy, now, 500);
		EXPECT(!goal.step && goal.limited_by == why,
		       "shortage %u: step %lld limited_by %u", i,
		       (long long)goal.step, (unsigned int)goal.limited_by);
		EXPECT(i || goal.delay == first, "first delay %u", goal.delay);
		EXPECT(goal.delay > last || goal.delay == longest,
		       "shortage %u: delay %u after %u", i, goal.delay, last);
		EXPECT(goal.delay <= longest, "delay %u", goal.delay);
		last = goal.delay;

		goal = goal_of(&policy, now + last - 1, 500);
		EXPECT(!goal.step && goal.delay == 1,
		       "shortage %u: too early: step %lld delay %u", i,
		       (long long)goal.step, goal.delay);
		now += last;
		goal = goal_of(&policy, now, 500);
		EXPECT(goal.step == 500 && !goal.delay,
		       "shortage %u: not over: step %lld delay %u", i,
		       (long long)goal.step, goal.delay);
	}
	EXPECT(last == longest, "the last delay is %u", last);

	/* One step in full ends a run of shortages, but no memory of an OOM. */
	vb_policy_fed(&policy);
	vb_policy_short(&policy, why, now);
	EXPECT(goal_of(&policy, now, 500).delay ==
	       (why == VB_LIMIT_OOM ? longest : first),
	       "the delay after success is %u",
	       goal_of(&policy, now, 500).delay);
}

static void test_delays(void)
{
	expect_growing(VB_LIMIT_MEMORY, DELAY_FIRST, DELAY_SHORT);
	expect_growing(VB_LIMIT_OOM, 16000, DELAY_LAST);
}

/* No memory available, and asked again each time the policy says so. */
static void test_starved(void)
{
	struct vb_policy policy = { 0 };
	struct vb_view view = plain;
	u32 last = 0;
	int i;

	view.target = 500;
	view.available = 0;
	for (i = 0; i < 100; i++) {
		struct vb_goal goal = vb_policy_goal(&policy, &view);

		EXPECT(!goal.step && goal.limited_by == VB_LIMIT_MEMORY &&
		       goal.delay >= last && goal.delay <= DELAY_SHORT &&
		       goal.delay >= DELAY_FIRST, PRINT_VIEW, ARGS_VIEW(&view, &goal));
		last = goal.delay;
		view.now += last;
	}
	EXPECT(last == DELAY_SHORT, "the last delay is %u", last);
}

static void test_new_target(void)
{
	struct vb_policy policy = { 0 };
	u64 now = plain.now;

	goal_of(&policy, now, 500);
	vb_policy_short(&policy, VB_LIMIT_MEMORY, now);
	EXPECT(!goal_of(&policy, now, 500).step, "no pause");
	EXPECT(goal_of(&policy, now, 501).step == 501, "a larger target waits");
	vb_policy_short(&policy, VB_LIMIT_MEMORY, now);
	EXPECT(goal_of(&policy, now, 400).step == 400, "a smaller target waits");
}

static void test_oom_hold(void)
{
	struct vb_policy policy = { 0 };
	u64 now = plain.now;
	struct vb_goal goal;

	goal_of(&policy, now, 500);
	vb_policy_short(&policy, VB_LIMIT_OOM, now);
	goal = goal_of(&policy, now + 1, 600);
	EXPECT(!goal.step && goal.delay == 15999 &&
	       goal.limited_by == VB_LIMIT_OOM,
	       "a larger target ended the hold: step %lld", (long long)goal.step);
	goal = goal_of(&policy, now + 2, 700);
	EXPECT(!goal.step, "a second one did: step %lld", (long long)goal.step);
	goal = goal_of(&policy, now + 3, 400);
	EXPECT(!goal.step, "a smaller one that needs an inflation did: step %lld",
	       (long long)goal.step);
}

/* Many calls in one time of need are one OOM; the next one pauses longer. */
static void test_oom_again(void)
{
	struct vb_policy policy = { 0 };
	u64 now = plain.now;
	struct vb_goal goal;

	goal_of(&policy, now, 500);
	vb_policy_short(&policy, VB_LIMIT_OOM, now);
	vb_policy_short(&policy, VB_LIMIT_OOM, now + 100);
	vb_policy_short(&policy, VB_LIMIT_OOM, now + 200);
	goal = goal_of(&policy, now + 200, 500);
	EXPECT(goal.delay == 16000, "one OOM pauses for %u", goal.delay);

	now += 17000;
	EXPECT(goal_of(&policy, now, 500).step == 500, "the pause does not end");
	vb_policy_fed(&policy);
	vb_policy_short(&policy, VB_LIMIT_OOM, now);
	goal = goal_of(&policy, now, 500);
	EXPECT(goal.delay == 32000, "the next OOM pauses for %u", goal.delay);
}

/* Other shortages neither forget an OOM nor lengthen its pauses. */
static void test_oom_and_short(void)
{
	struct vb_policy policy = { 0 };
	u64 now = plain.now;
	struct vb_goal goal;
	int i;

	goal_of(&policy, now, 500);
	vb_policy_short(&policy, VB_LIMIT_OOM, now);
	now += 16000;
	for (i = 0; i < 10; i++) {
		goal = goal_of(&policy, now, 500);
		EXPECT(goal.step == 500, "no step after %d shortages", i);
		vb_policy_short(&policy, VB_LIMIT_MEMORY, now);
		goal = goal_of(&policy, now, 500);
		EXPECT(goal.delay == DELAY_SHORT &&
		       goal.limited_by == VB_LIMIT_OOM,
		       "shortage %d pauses for %u", i, goal.delay);
		now += goal.delay;
	}
	vb_policy_short(&policy, VB_LIMIT_OOM, now);
	EXPECT(goal_of(&policy, now, 500).delay == 32000,
	       "the next OOM pauses for %u", goal_of(&policy, now, 500).delay);
}

/* A target that is reached, or below what is held, is a fresh start. */
static void test_oom_forgotten(void)
{
	struct vb_policy policy = { 0 };
	struct vb_view view = plain;

	view.target = 500;
	view.held = 500;
	vb_policy_goal(&policy, &view);
	vb_policy_short(&policy, VB_LIMIT_OOM, view.now);
	vb_policy_goal(&policy, &view);
	view.held = 400;
	EXPECT(!vb_policy_goal(&policy, &view).step,
	       "an OOM at the target is forgotten at once");

	view.target = 300;
	EXPECT(vb_policy_goal(&policy, &view).step == -100, "no deflation");
	view.held = 300;
	view.target = 500;
	EXPECT(vb_policy_goal(&policy, &view).step == 200,
	       "a target below what is held did not end the hold");
}

static u64 smaller(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* What must hold of every goal, whatever the policy remembers. */
static void expect_sound(const struct vb_view *v, struct vb_goal g)
{
	u64 floor = v->floor;
	u64 step = g.step;

	EXPECT(g.delay <= DELAY_SHORT ||
	       (g.delay <= DELAY_LAST && (g.limited_by == VB_LIMIT_OOM ||
					  v->held == v->target)),
	       PRINT_VIEW, ARGS_VIEW(v, &g));
	EXPECT(!g.step || (!g.delay && g.limited_by == VB_LIMIT_NONE),
	       PRINT_VIEW, ARGS_VIEW(v, &g));
	EXPECT(!g.delay || g.limited_by != VB_LIMIT_NONE ||
	       (v->held == v->target && v->block && v->singles >= v->block),
	       PRINT_VIEW, ARGS_VIEW(v, &g));

	if (v->held > v->target) {
		u64 most = smaller(v->held - v->target, INT64_MAX);

		EXPECT(g.step < 0 && -step == most, PRINT_VIEW,
		       ARGS_VIEW(v, &g));
		return;
	}
	EXPECT(g.step >= 0, PRINT_VIEW, ARGS_VIEW(v, &g));
	if (g.exchange)
		EXPECT(v->held == v->target && v->singles >= v->block &&
		       step == smaller(v->block, INT64_MAX),
		       PRINT_VIEW, ARGS_VIEW(v, &g));
	else
		EXPECT(step <= v->target - v->held, PRINT_VIEW,
		       ARGS_VIEW(v, &g));
	if (v->held == v->target)
		EXPECT(g.limited_by == VB_LIMIT_NONE, PRINT_VIEW,
		       ARGS_VIEW(v, &g));
	else
		EXPECT(g.step || g.limited_by != VB_LIMIT_NONE, PRINT_VIEW,
		       ARGS_VIEW(v, &g));
	if (!g.step)
		return;
	EXPECT(v->held <= v->total && step <= v->total - v->held &&
	       v->total - v->held - step >= v->reserve,
	       PRINT_VIEW, ARGS_VIEW(v, &g));
	EXPECT(step <= v->available && v->available - step >= floor,
	       PRINT_VIEW, ARGS_VIEW(v, &g));
}

/* A guest and a host that do anything at all, in any order. */
static void test_any_guest(void)
{
	struct vb_policy policy = { 0 };
	struct vb_view view = { 0 };
	struct vb_goal goal;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		view.now += unit_below(4) ? unit_below(3000) : unit_below(100000);
		view.total = 1 + unit_below(5000);
		view.held = unit_below(view.total + 1);
		view.available = unit_below(view.total - view.held + 1);
		view.reserve = unit_below(8) ? unit_below(view.total) :
					       unit_below(10000);
		view.floor = unit_below(8) ? view.total / 64 :
					     unit_below(10000);
		if (!unit_below(4))
			view.target = unit_below(6000);
		goal = vb_policy_goal(&policy, &view);
		expect_sound(&view, goal);
		switch (unit_below(8)) {
		case 0:
			vb_policy_short(&policy, VB_LIMIT_OOM, view.now);
			break;
		case 1:
			if (goal.step > 0)
				vb_policy_short(&policy, VB_LIMIT_MEMORY,
						view.now);
			break;
		default:
			if (goal.step > 0)
				vb_policy_fed(&policy);
		}
	}
}

/*
 * A guest whose balloon follows each goal, in batches: held reaches what the
 * target and the reservation allow exactly, what the floor allows to an eighth
 * of the floor, and stays.
 */
static void test_converges(void)
{
	int i, steps;

	for (i = 0; i < 2000; i++) {
		struct vb_policy policy = { 0 };
		struct vb_view view = {
			.total = 1 + unit_below(100000),
			.target = unit_below(120000),
		};
		u64 used = unit_below(view.total);
		u64 floor = view.total / 64;
		u64 most, batch = 1 + unit_below(4096);
		struct vb_goal goal;

		view.reserve = unit_below(view.total);
		view.floor = floor;
		view.held = unit_below(view.total - used + 1);
		most = used + floor < view.total ? view.total - used - floor : 0;
		most = smaller(most, view.total - view.reserve);
		if (most < view.held)
			most = view.held;
		most = smaller(most, view.target);

		for (steps = 0; steps < 200000; steps++) {
			view.available = view.total - used - view.held;
			goal = vb_policy_goal(&policy, &view);
			expect_sound(&view, goal);
			if (!goal.step)
				break;
			if (goal.step > 0)
				view.held += smaller(goal.step, batch);
			else
				view.held -= smaller(-goal.step, batch);
		}
		EXPECT(view.held == most ||
		       (goal.limited_by == VB_LIMIT_MEMORY && view.held < most &&
			most - view.held < floor / 8), "reached %llu, not %llu: " PRINT_VIEW,
		       (unsigned long long)view.held, (unsigned long long)most,
		       ARGS_VIEW(&view, &goal));
	}
}

/* Nonsense, up to the last bit, must be harmless. */
static void test_extremes(void)
{
	struct vb_policy policy = { 0 };
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct vb_view view = {
			.target = unit_below(2) ? unit_edge() : unit_magnitude(),
			.held = unit_below(2) ? unit_edge() : unit_magnitude(),
			.total = unit_below(2) ? unit_edge() : unit_magnitude(),
			.available = unit_below(2) ? unit_edge() : unit_magnitude(),
			.reserve = unit_below(2) ? unit_edge() : unit_magnitude(),
			.floor = unit_below(2) ? unit_edge() : unit_magnitude(),
			.singles = unit_below(2) ? unit_edge() : unit_magnitude(),
			.block = unit_below(2) ? unit_edge() : unit_magnitude(),
			.now = unit_below(2) ? unit_edge() : unit_magnitude(),
		};

		/* Time never goes back, but it may start anywhere. */
		if (policy.retry_at > view.now || policy.exchange_at > view.now)
			policy = (struct vb_policy){ 0 };
		expect_sound(&view, vb_policy_goal(&policy, &view));
		if (!unit_below(4))
			vb_policy_short(&policy, VB_LIMIT_OOM, view.now);
		expect_sound(&view, vb_policy_goal(&policy, &view));
		if (!unit_below(4))
			vb_policy_fed(&policy);
	}
}

/*
 * 600 of 1000 pages are in the balloon, 300 of them single; blocks are of 8.
 * An exchange starts when the balloon has rested a bit, goes on while there
 * are blocks, and stops when less than a block is single.
 */
static void test_exchange(void)
{
	struct vb_view view = VIEW(5000, 600, 600, 1000, 300, 100, 15);
	struct vb_policy policy = { 0 };
	struct vb_goal goal;
	int n;

	view.singles = 300;
	view.block = 8;
	goal = vb_policy_goal(&policy, &view);
	EXPECT(!goal.step && goal.delay == 1000, PRINT_VIEW,
	       ARGS_VIEW(&view, &goal));

	for (n = 0; view.singles >= view.block; n++) {
		view.now += goal.delay;
		goal = vb_policy_goal(&policy, &view);
		EXPECT(goal.exchange && goal.step == 8, PRINT_VIEW,
		       ARGS_VIEW(&view, &goal));
		/* no block at all, twice in a row, every fourth time */
		if (n % 4 > 1) {
			vb_policy_exchanged(&policy, false, view.now);
			goal = vb_policy_goal(&policy, &view);
			EXPECT(!goal.step && goal.delay == 1000U << (n % 2),
			       PRINT_VIEW, ARGS_VIEW(&view, &goal));
			continue;
		}
		view.held += 8;
		vb_policy_exchanged(&policy, true, view.now);
		goal = vb_policy_goal(&policy, &view);
		EXPECT(goal.step == -8, PRINT_VIEW, ARGS_VIEW(&view, &goal));
		view.held -= 8;
		view.singles -= 8;
		goal = vb_policy_goal(&policy, &view);
		EXPECT(!goal.step && (view.singles < 8 || goal.delay == 100),
		       PRINT_VIEW, ARGS_VIEW(&view, &goal));
	}
	goal = vb_policy_goal(&policy, &view);
	EXPECT(!goal.step && !goal.delay, PRINT_VIEW, ARGS_VIEW(&view, &goal));
}

/* An exchange needs a block on top: of the reservation, and of the floor. */
static void test_exchange_room(void)
{
	static const struct {
		u64 held, available;
		bool may;
	} cases[] = {
		{ 892, 300, true },
		{ 893, 300, false },
		{ 600, 24, true },
		{ 600, 23, false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vb_view view = VIEW(5000, cases[i].held, cases[i].held,
					   1000, cases[i].available, 100, 15);
		struct vb_policy policy = { .target = view.target };
		struct vb_goal goal;

		view.singles = 300;
		view.block = 8;
		goal = vb_policy_goal(&policy, &view);
		EXPECT(goal.exchange == cases[i].may, PRINT_VIEW,
		       ARGS_VIEW(&view, &goal));
		EXPECT(goal.exchange || goal.delay == 1000, PRINT_VIEW,
		       ARGS_VIEW(&view, &goal));
	}
}

/* The last pause before the end of time. */
static void test_end_of_time(void)
{
	struct vb_policy policy = { 0 };
	struct vb_goal goal;

	goal_of(&policy, UINT64_MAX - 10, 500);
	vb_policy_short(&policy, VB_LIMIT_OOM, UINT64_MAX - 10);
	goal = goal_of(&policy, UINT64_MAX - 10, 500);
	EXPECT(!goal.step && goal.delay == 10, "step %lld delay %u",
	       (long long)goal.step, goal.delay);
}

const struct unit_test policy_tests[] = {
	{ "policy: decides as the table says", test_decisions },
	{ "policy: reserves 1/32, at least 64 MiB", test_reserve },
	{ "policy: leaves 1/64, at least 16 MiB", test_floor },
	{ "policy: pauses grow and are bounded", test_delays },
	{ "policy: pauses while nothing is available", test_starved },
	{ "policy: a new target ends a pause", test_new_target },
	{ "policy: but one that needs an inflation ends no OOM hold", test_oom_hold },
	{ "policy: an OOM is one OOM, the next one another", test_oom_again },
	{ "policy: an OOM is not forgotten over other shortages", test_oom_and_short },
	{ "policy: a reached target ends an OOM hold", test_oom_forgotten },
	{ "policy: any guest and host", test_any_guest },
	{ "policy: reaches what it may, and stays", test_converges },
	{ "policy: exchanges single pages for blocks", test_exchange },
	{ "policy: but not the last memory", test_exchange_room },
	{ "policy: any numbers", test_extremes },
	{ "policy: the end of time", test_end_of_time },
	{ }
};
