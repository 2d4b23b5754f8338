// SPDX-License-Identifier: GPL-2.0
/*
 * What a free page of this guest contains: nothing in particular, zeroes
 * (init_on_free=1) or a pattern (page_poison=1).  The kernel relies on that
 * when it hands the page out, so a host that discards free pages must put the
 * same value back.
 */
#include <linux/mm.h>
#include <linux/poison.h>

#include "wire/wire.h"

static bool vb_free_pages_keep_a_value(void)
{
	return want_init_on_free() || page_poisoning_enabled_static();
}

static u32 vb_poison(void)
{
	/* page_poison, which fills with one byte, turns init_on_free off. */
	return want_init_on_free() ? 0 : PAGE_POISON * 0x01010101U;
}

/**
 * vb_poison_validate() - accept or decline PAGE_POISON and REPORTING
 * @vdev: the device, before its features are fixed
 *
 * A guest whose free pages have no value declines PAGE_POISON.  A guest whose
 * free pages have one must not report them to a host that offers no field for
 * the value (virtio 1.3, 5.5.6.7).  Declining REPORTING renumbers no other
 * queue, since the reporting queue is the last.
 *
 * Context: Any.
 */
void vb_poison_validate(struct virtio_device *vdev)
{
	if (!vb_free_pages_keep_a_value())
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
	else if (!virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_REPORTING);
}

/**
 * vb_poison_tell() - tell the host the value of free pages
 * @vdev: the device; its status does not say DRIVER_OK yet (virtio 1.3, 5.5.6.7)
 *
 * Context: May sleep.
 */
void vb_poison_tell(struct virtio_device *vdev)
{
	u32 poison = vb_poison();

	/* Without the feature the device may have no such field. */
	if (!virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		return;
	virtio_cwrite_le(vdev, struct virtio_balloon_config, poison_val,
			 &poison);
}

/**
 * vb_poison_allows_reports() - tell whether the host discards reported memory
 * @vdev: the device, its features fixed
 *
 * A host cannot discard a page that must keep a pattern: it acknowledges the
 * report and does nothing.
 *
 * Context: Any.
 * Return: true if there is a reporting queue, and reports have an effect.
 */
bool vb_poison_allows_reports(struct virtio_device *vdev)
{
	return virtio_has_feature(vdev, VIRTIO_BALLOON_F_REPORTING) &&
	       !(virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON) &&
		 vb_poison());
}
