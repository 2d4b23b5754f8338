// SPDX-License-Identifier: GPL-2.0
/*
 * slow: makes a function of the kernel slow to begin, for tests that look for
 * what may happen meanwhile.
 *
 *	insmod slow.ko at=FUNCTION:MICROSECONDS:EVERY[,...]
 *		       behind=FUNCTION:MICROSECONDS:CPU
 *
 * Each EVERYth call of FUNCTION is delayed, on the CPU that makes it and with
 * preemption off; behind= delays what comes after FUNCTION, on that CPU and if
 * FUNCTION has returned true.
 *
 *	insmod slow.ko race=COUNT
 *
 * Each CPU counts a variable up so many times, all at once and without a lock.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/smp.h>

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

static char behind_name[64];
static unsigned int behind_us, behind_cpu;
static char *behind;
module_param(behind, charp, 0444);
MODULE_PARM_DESC(behind, "FUNCTION:MICROSECONDS:CPU");

static int slow_return(struct kretprobe_instance *instance,
		       struct pt_regs *regs)
{
	if (raw_smp_processor_id() == behind_cpu &&
	    (regs_return_value(regs) & 0xff))
		mdelay(behind_us / 1000);
	return 0;
}

static struct kretprobe return_probe = {
	.kp.symbol_name = behind_name,
	.handler = slow_return,
	.maxactive = 64,
};

static unsigned long raced;
static unsigned int race;
module_param(race, uint, 0444);
MODULE_PARM_DESC(race, "how often each CPU counts without a lock");

static void slow_race(void *unused)
{
	unsigned int i;

	for (i = 0; i < race; i++) {
		raced++;
		barrier();
	}
}

static int __init slow_init(void)
{
	struct slow *this;
	int i, rc;

	for (i = 0; i < nr; i++) {
		this = &slow[i];
		if (sscanf(at[i], "%63[^:]:%u:%u", this->name, &this->us,
			   &this->every) != 3 || !this->every)
			return -EINVAL;
		this->probe.symbol_name = this->name;
		this->probe.pre_handler = slow_call;
		probes[i] = &this->probe;
	}
	on_each_cpu(slow_race, NULL, true);
	rc = nr ? register_kprobes(probes, nr) : 0;
	if (rc || !behind)
		return rc;
	rc = -EINVAL;
	if (sscanf(behind, "%63[^:]:%u:%u", behind_name, &behind_us,
		   &behind_cpu) == 3)
		rc = register_kretprobe(&return_probe);
	if (rc)
		unregister_kprobes(probes, nr);
	return rc;
}

static void __exit slow_exit(void)
{
	if (behind)
		unregister_kretprobe(&return_probe);
	if (nr)
		unregister_kprobes(probes, nr);
}

module_init(slow_init);
module_exit(slow_exit);
MODULE_DESCRIPTION("Make a function of the kernel slow to begin");
MODULE_LICENSE("GPL");
