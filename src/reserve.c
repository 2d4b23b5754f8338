// SPDX-License-Identifier: GPL-2.0
/*
 * The reservation: memory that the guest keeps whatever the host asks for.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "vballoon.h"

static unsigned int vb_suffix_shift(char suffix)
{
	switch (tolower(suffix)) {
	case 'k':
		return 10;
	case 'm':
		return 20;
	case 'g':
		return 30;
	}
	return 0;
}

/* Parse bytes with an optional K, M or G, or "auto", which is 0. */
static int vb_reserve_parse(const char *text, u64 *reserve)
{
	unsigned int shift;
	char buf[32];
	char *size;
	u64 value;
	int rc;

	if (strscpy(buf, text, sizeof(buf)) < 0)
		return -EINVAL;
	size = strim(buf);
	if (!strcmp(size, "auto")) {
		*reserve = 0;
		return 0;
	}
	if (!*size)
		return -EINVAL;
	shift = vb_suffix_shift(size[strlen(size) - 1]);
	if (shift)
		size[strlen(size) - 1] = '\0';
	rc = kstrtou64(size, 10, &value);
	if (rc)
		return rc;
	if (!value)
		return -EINVAL;
	if (value << shift >> shift != value)
		return -ERANGE;
	*reserve = value << shift;
	return 0;
}

static u64 vb_reserve_param;

static int vb_reserve_param_set(const char *val, const struct kernel_param *kp)
{
	int rc = vb_reserve_parse(val, &vb_reserve_param);

	if (rc)
		pr_err("vballoon: reserve=%s: not a size; give bytes with an optional K, M or G, or auto\n",
		       val);
	return rc;
}

static int vb_reserve_param_get(char *buffer, const struct kernel_param *kp)
{
	if (!vb_reserve_param)
		return sysfs_emit(buffer, "auto\n");
	return sysfs_emit(buffer, "%llu\n", vb_reserve_param);
}

static const struct kernel_param_ops vb_reserve_ops = {
	.set = vb_reserve_param_set,
	.get = vb_reserve_param_get,
};
module_param_cb(reserve, &vb_reserve_ops, NULL, 0444);
MODULE_PARM_DESC(reserve, "memory that the guest keeps whatever the host asks for: bytes with K, M or G, or auto (1/32, at least 64M)");

/**
 * vb_reserve_init() - take the reservation from the module's parameter
 * @vb: the device, its store initialised
 *
 * Context: Any.
 */
void vb_reserve_init(struct vb_device *vb)
{
	vb->reserve = vb_reserve_param;
	if (vb->reserve >> PAGE_SHIFT > vb_store_total(&vb->store))
		dev_warn(&vb->vdev->dev, "reserve=%llu is more than the guest has: the balloon stays empty\n",
			 vb->reserve);
}

/**
 * vb_reserve_pages() - the reservation in force
 * @vb: the device
 * @total: guest pages from vb_store_total()
 *
 * Context: Any.
 * Return: guest pages.
 */
u64 vb_reserve_pages(struct vb_device *vb, u64 total)
{
	u64 reserve = READ_ONCE(vb->reserve);

	if (!reserve)
		return vb_policy_reserve(total, PAGE_SHIFT);
	return (reserve >> PAGE_SHIFT) + !!(reserve & ~PAGE_MASK);
}

/**
 * vb_reserve_set() - set the reservation
 * @vb: the device
 * @text: bytes with an optional K, M or G, or "auto"
 *
 * A reservation that the guest already falls short of stops an inflation, but
 * does not deflate the balloon.
 *
 * Context: Process context.
 * Return: 0; -EINVAL if @text is no size; -ERANGE if the guest has less memory.
 */
int vb_reserve_set(struct vb_device *vb, const char *text)
{
	u64 reserve;
	int rc;

	rc = vb_reserve_parse(text, &reserve);
	if (rc)
		return rc;
	if (reserve >> PAGE_SHIFT > vb_store_total(&vb->store))
		return -ERANGE;
	WRITE_ONCE(vb->reserve, reserve);
	vb_worker_kick(&vb->worker);
	return 0;
}
