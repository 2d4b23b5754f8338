// SPDX-License-Identifier: GPL-2.0
/*
 * slow: makes a function of the kernel slow to begin, for tests that look for
 * what may happen meanwhile.
 *
 *	insmod slow.ko at=FUNCTION:MICROSECONDS:EVERY[,...]
 *
 * Each EVERYth call of FUNCTION is delayed, on the CPU that makes it and with
 * preemption off.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#define SLOW_MAX	4

struct slow {
	struct kprobe probe;
	char name[64];
	unsigned int us;
	unsigned int every;
	atomic_t calls;
};

static struct slow slow[SLOW_MAX];
static struct kprobe *probes[SLOW_MAX];
static char *at[SLOW_MAX];
static int nr;
module_param_array(at, charp, &nr, 0444);
MODULE_PARM_DESC(at, "FUNCTION:MICROSECONDS:EVERY, up to four");

static int slow_call(struct kprobe *probe, struct pt_regs *regs)
{
	struct slow *this = container_of(probe, struct slow, probe);

	if (atomic_inc_return(&this->calls) % this->every)
		return 0;
	mdelay(this->us / 1000);
	udelay(this->us % 1000);
	return 0;
}

static int __init slow_init(void)
{
	struct slow *this;
	int i;

	for (i = 0; i < nr; i++) {
		this = &slow[i];
		if (sscanf(at[i], "%63[^:]:%u:%u", this->name, &this->us,
			   &this->every) != 3 || !this->every)
			return -EINVAL;
		this->probe.symbol_name = this->name;
		this->probe.pre_handler = slow_call;
		probes[i] = &this->probe;
	}
	return register_kprobes(probes, nr);
}

static void __exit slow_exit(void)
{
	unregister_kprobes(probes, nr);
}

module_init(slow_init);
module_exit(slow_exit);
MODULE_DESCRIPTION("Make a function of the kernel slow to begin");
MODULE_LICENSE("GPL");
