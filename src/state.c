// SPDX-License-Identifier: GPL-2.0
/*
 * What the driver is doing, and what keeps it from its target.
 */
#include <linux/jiffies.h>

#include "vballoon.h"

/* The log names the same limit again after this long. */
#define VB_COMPLAIN_EVERY	(3600 * HZ)

#define VB_STATE_NAME(state, name) \
	[state] = name

static const char *const vb_state_names[] = {
	VB_STATES(VB_STATE_NAME)
};

#define VB_LIMIT_NAME(limit, name, reason) \
	[limit] = name

static const char *const vb_limit_names[] = {
	VB_LIMITS(VB_LIMIT_NAME)
};

#define VB_LIMIT_REASON(limit, name, reason) \
	[limit] = reason

static const char *const vb_limit_reasons[] = {
	VB_LIMITS(VB_LIMIT_REASON)
};

/**
 * vb_state_name() - the name of a state in sysfs
 * @state: the state
 *
 * Context: Any.
 * Return: its name.
 */
const char *vb_state_name(enum vb_state state)
{
	return vb_state_names[state];
}

/**
 * vb_state_limit_name() - the name of a limit in sysfs
 * @limit: the limit
 *
 * Context: Any.
 * Return: its name.
 */
const char *vb_state_limit_name(enum vb_limit limit)
{
	return vb_limit_names[limit];
}

/*
 * Name a limit, but each at most once in VB_COMPLAIN_EVERY: some hosts change
 * their target every few seconds for as long as the guest runs.
 */
static void vb_state_complain(struct vb_device *vb, enum vb_limit limit)
{
	if (!vb_limit_reasons[limit])
		return;
	if (vb->complained & BIT(limit) &&
	    time_before(jiffies, vb->complained_at[limit] + VB_COMPLAIN_EVERY))
		return;
	vb->complained |= BIT(limit);
	vb->complained_at[limit] = jiffies;
	dev_info_ratelimited(&vb->vdev->dev,
			     "stops at %lu MiB of the %lu MiB that the host wants from this guest: %s\n",
			     vb_store_held(&vb->store) >> (20 - PAGE_SHIFT),
			     vb->target >> (20 - PAGE_SHIFT),
			     vb_limit_reasons[limit]);
}

/**
 * vb_state_set() - set the state, and log a change that matters to a person
 * @vb: the device
 * @state: the state
 * @limit: what keeps the balloon from its target; replaced by VB_LIMIT_HOST if
 *         @state is VB_SILENT or VB_BROKEN
 *
 * Context: The worker, or while no worker can run.
 */
void vb_state_set(struct vb_device *vb, enum vb_state state,
		  enum vb_limit limit)
{
	struct device *dev = &vb->vdev->dev;
	enum vb_state before = vb->state;

	if (state == VB_SILENT || state == VB_BROKEN)
		limit = VB_LIMIT_HOST;
	WRITE_ONCE(vb->state, state);
	WRITE_ONCE(vb->limited_by, limit);

	if (state == VB_SILENT && before != VB_SILENT) {
		vb_counters_add(&vb->counters, VB_SILENCES, 1);
		dev_warn_ratelimited(dev,
				     "the host has not answered for %u s\n",
			 (unsigned int)(VB_SILENT_AFTER / HZ));
	} else if (before == VB_SILENT && state != VB_SILENT &&
		   state != VB_STOPPED) {
		dev_info_ratelimited(dev,
				     "the host is no longer waited for\n");
	}
	if (state == VB_BROKEN && before != VB_BROKEN)
		dev_err(dev, "the device broke its protocol; nothing moves until it is bound again\n");

	/* While pages are on their way the balloon has not stopped. */
	if (state == VB_LIMITED)
		vb_state_complain(vb, limit);
}
