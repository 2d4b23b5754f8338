/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vballoon

#if !defined(_TRACE_VBALLOON_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VBALLOON_H

#include <linux/mm.h>
#include <linux/tracepoint.h>

#define VB_LIMIT_SYMBOL(limit, name, reason)	{ limit, name }

/*
 * perf and trace-cmd read the format of an event, where a limit is a symbol:
 * give them its number.  One line for each entry of VB_LIMITS().
 */
TRACE_DEFINE_ENUM(VB_LIMIT_NONE);
TRACE_DEFINE_ENUM(VB_LIMIT_RESERVE);
TRACE_DEFINE_ENUM(VB_LIMIT_MEMORY);
TRACE_DEFINE_ENUM(VB_LIMIT_OOM);
TRACE_DEFINE_ENUM(VB_LIMIT_HOST);
static_assert(sizeof((char[]){ VB_LIMITS(VB_LIMIT_ENUM) }) == 5);

/* What the policy saw and decided, each time it was asked; sizes in bytes. */
TRACE_EVENT(vballoon_goal,
	TP_PROTO(int index, const struct vb_view *view,
		 const struct vb_goal *goal),
	TP_ARGS(index, view, goal),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u64, target)
		__field(u64, held)
		__field(u64, available)
		__field(u64, reserve)
		__field(s64, step)
		__field(u32, delay)
		__field(int, limited_by)
	),
	TP_fast_assign(
		__entry->index = index;
		__entry->target = view->target << PAGE_SHIFT;
		__entry->held = view->held << PAGE_SHIFT;
		__entry->available = view->available << PAGE_SHIFT;
		__entry->reserve = view->reserve << PAGE_SHIFT;
		__entry->step = goal->step * (s64)PAGE_SIZE;
		__entry->delay = goal->delay;
		__entry->limited_by = goal->limited_by;
	),
	TP_printk("virtio%d target=%llu held=%llu available=%llu reserve=%llu step=%lld delay_ms=%u limited_by=%s",
		  __entry->index, __entry->target, __entry->held,
		  __entry->available, __entry->reserve, __entry->step,
		  __entry->delay,
		  __print_symbolic(__entry->limited_by,
				   VB_LIMITS(VB_LIMIT_SYMBOL)))
);

/* Pages have entered the balloon (inflate) or left it; size in bytes. */
TRACE_EVENT(vballoon_moved,
	TP_PROTO(int index, bool inflate, unsigned long pages),
	TP_ARGS(index, inflate, pages),
	TP_STRUCT__entry(
		__field(int, index)
		__field(bool, inflate)
		__field(u64, bytes)
	),
	TP_fast_assign(
		__entry->index = index;
		__entry->inflate = inflate;
		__entry->bytes = (u64)pages << PAGE_SHIFT;
	),
	TP_printk("virtio%d %s bytes=%llu", __entry->index,
		  __entry->inflate ? "inflate" : "deflate", __entry->bytes)
);

#endif

#include <trace/define_trace.h>
