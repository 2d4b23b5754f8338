/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the driver is doing.
 */
#ifndef VB_STATE_H
#define VB_STATE_H

#include "policy.h"

/**
 * VB_STATES() - all states: their names here, and in balloon/state
 * @x: macro to apply to each: x(enum value, name)
 *
 * Documentation/ABI/testing/sysfs-driver-vballoon says what a person reads of
 * each of them; `scripts/style docs` compares the two.
 */
#define VB_STATES(x)							\
	/* not bound, suspended or shut down: the device is reset */	\
	x(VB_STOPPED, "stopped"),					\
	/* the target is reached */					\
	x(VB_IDLE, "idle"),						\
	/* pages are on their way into the balloon */			\
	x(VB_INFLATING, "inflating"),					\
	/* pages are on their way out of it */				\
	x(VB_DEFLATING, "deflating"),					\
	/* the target is not reached: enum vb_limit says why */		\
	x(VB_LIMITED, "limited"),					\
	/* the host has not answered for a while */			\
	x(VB_SILENT, "silent"),						\
	/* the device broke its protocol; nothing more is sent */	\
	x(VB_BROKEN, "broken")

#define VB_STATE_ENUM(state, name)	state
enum vb_state {
	VB_STATES(VB_STATE_ENUM)
};

const char *vb_state_name(enum vb_state state);
const char *vb_state_limit_name(enum vb_limit limit);

#endif
