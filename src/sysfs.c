// SPDX-License-Identifier: GPL-2.0
/*
 * What a person sees: balloon/ in the device's sysfs folder, described in
 * Documentation/ABI/testing/sysfs-driver-vballoon.  No logic.
 */
#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "vballoon.h"

static struct vb_device *vb_of(struct kobject *dir)
{
	return dev_to_virtio(kobj_to_dev(dir->parent))->priv;
}

static ssize_t vb_emit_pages(char *buf, u64 pages)
{
	return sysfs_emit(buf, "%llu\n", pages << PAGE_SHIFT);
}

static ssize_t target_bytes_show(struct kobject *dir,
				 struct kobj_attribute *attr, char *buf)
{
	return vb_emit_pages(buf, READ_ONCE(vb_of(dir)->target));
}

static ssize_t actual_bytes_show(struct kobject *dir,
				 struct kobj_attribute *attr, char *buf)
{
	return vb_emit_pages(buf, vb_store_held(&vb_of(dir)->store));
}

static ssize_t moving_bytes_show(struct kobject *dir,
				 struct kobj_attribute *attr, char *buf)
{
	return vb_emit_pages(buf, vb_transfer_moving(vb_of(dir)));
}

static ssize_t block_bytes_show(struct kobject *dir,
				struct kobj_attribute *attr, char *buf)
{
	return vb_emit_pages(buf, vb_block_count(&vb_of(dir)->store) *
			     VB_BLOCK_PAGES);
}

static ssize_t hint_bytes_show(struct kobject *dir,
			       struct kobj_attribute *attr, char *buf)
{
	return vb_emit_pages(buf, vb_hint_held(&vb_of(dir)->hint));
}

static ssize_t engine_show(struct kobject *dir, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", vb_engine_name(vb_of(dir)->channel.engine));
}

static ssize_t reserve_bytes_show(struct kobject *dir,
				  struct kobj_attribute *attr, char *buf)
{
	struct vb_device *vb = vb_of(dir);

	return vb_emit_pages(buf, vb_reserve_pages(vb, vb_store_total(&vb->store)));
}

static ssize_t reserve_bytes_store(struct kobject *dir,
				   struct kobj_attribute *attr,
				   const char *buf, size_t len)
{
	return vb_reserve_set(vb_of(dir), buf) ?: len;
}

static ssize_t state_show(struct kobject *dir, struct kobj_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  vb_state_name(READ_ONCE(vb_of(dir)->state)));
}

static ssize_t limited_by_show(struct kobject *dir,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  vb_state_limit_name(READ_ONCE(vb_of(dir)->limited_by)));
}

static struct kobj_attribute vb_target_bytes = __ATTR_RO(target_bytes);
static struct kobj_attribute vb_actual_bytes = __ATTR_RO(actual_bytes);
static struct kobj_attribute vb_moving_bytes = __ATTR_RO(moving_bytes);
static struct kobj_attribute vb_block_bytes = __ATTR_RO(block_bytes);
static struct kobj_attribute vb_hint_bytes = __ATTR_RO(hint_bytes);
static struct kobj_attribute vb_engine_attr = __ATTR_RO(engine);
static struct kobj_attribute vb_reserve_bytes = __ATTR_RW(reserve_bytes);
static struct kobj_attribute vb_state_attr = __ATTR_RO(state);
static struct kobj_attribute vb_limited_by = __ATTR_RO(limited_by);

static struct attribute *vb_attrs[] = {
	&vb_target_bytes.attr,
	&vb_actual_bytes.attr,
	&vb_moving_bytes.attr,
	&vb_block_bytes.attr,
	&vb_hint_bytes.attr,
	&vb_engine_attr.attr,
	&vb_reserve_bytes.attr,
	&vb_state_attr.attr,
	&vb_limited_by.attr,
	NULL
};

static const struct attribute_group vb_group = {
	.attrs = vb_attrs,
};

/* One read-only file a counter: the table's index is the counter. */
static ssize_t vb_counter_show(struct kobject *dir,
			       struct kobj_attribute *attr, char *buf);

#define VB_COUNTER_ATTR(counter, file) \
	[counter] = __ATTR(file, 0444, vb_counter_show, NULL)

static struct kobj_attribute vb_counter_files[VB_NR_COUNTERS] = {
	VB_COUNTERS(VB_COUNTER_ATTR)
};

static ssize_t vb_counter_show(struct kobject *dir,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%ld\n",
			  vb_counters_read(&vb_of(dir)->counters,
					   attr - vb_counter_files));
}

#define VB_COUNTER_FILE(counter, ...)	(&vb_counter_files[counter].attr)

/* In the order of the table; one entry more, for the NULL at the end. */
static struct attribute *vb_counter_attrs[VB_NR_COUNTERS + 1] = {
	VB_COUNTERS(VB_COUNTER_FILE)
};

static const struct attribute_group vb_counter_group = {
	.name = "stats",
	.attrs = vb_counter_attrs,
};

/**
 * vb_sysfs_add() - create balloon/ in the device's folder
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0, -ENOMEM or sysfs's error.
 */
int vb_sysfs_add(struct vb_device *vb)
{
	int rc;

	vb->dir = kobject_create_and_add("balloon", &vb->vdev->dev.kobj);
	if (!vb->dir)
		return -ENOMEM;
	rc = sysfs_create_group(vb->dir, &vb_group);
	if (!rc)
		rc = sysfs_create_group(vb->dir, &vb_counter_group);
	if (rc)
		vb_sysfs_remove(vb);
	return rc;
}

/**
 * vb_sysfs_remove() - remove balloon/; no file is being read afterwards
 * @vb: the device
 *
 * Context: May sleep.
 */
void vb_sysfs_remove(struct vb_device *vb)
{
	kobject_del(vb->dir);
	kobject_put(vb->dir);
}
