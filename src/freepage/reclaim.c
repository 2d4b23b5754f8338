// SPDX-License-Identifier: GPL-2.0
/*
 * The guest takes hinted blocks back when it needs memory: by a shrinker, by an
 * OOM notifier, or for the balloon.
 */
#include <linux/oom.h>

#include "freepage/pool.h"

/* Give blocks back, and take no further ones for the host's command. */
static unsigned long vb_reclaim_give(struct vb_reclaim *reclaim,
				     unsigned long nr)
{
	struct vb_hint *hint = reclaim->hint;

	WRITE_ONCE(hint->strained, true);
	vb_hint_collect(hint);
	return vb_pool_give(&hint->pool, nr);
}

/**
 * vb_reclaim_yield() - give hinted blocks back to make room for the balloon
 * @reclaim: the reclaim
 * @nr: guest pages that the balloon needs
 *
 * An inflation gives memory to the host, a hint only makes a migration faster:
 * so the inflation comes first.
 *
 * Context: Process context; takes the pool lock.
 * Return: false if no block was given back.
 */
bool vb_reclaim_yield(struct vb_reclaim *reclaim, unsigned long nr)
{
	return vb_pool_pages(&reclaim->hint->pool) &&
	       vb_reclaim_give(reclaim, nr);
}

static unsigned long vb_reclaim_count_objects(struct shrinker *shrinker,
					      struct shrink_control *control)
{
	struct vb_reclaim *reclaim = vb_shrinker_data(shrinker);

	return vb_pool_pages(&reclaim->hint->pool) ?: SHRINK_EMPTY;
}

static unsigned long vb_reclaim_scan_objects(struct shrinker *shrinker,
					     struct shrink_control *control)
{
	unsigned long given;

	given = vb_reclaim_give(vb_shrinker_data(shrinker), control->nr_to_scan);
	/* A block may have more pages than the kernel asked for: count all. */
	control->nr_scanned = given;
	return given ?: SHRINK_STOP;
}

static int vb_reclaim_oom(struct notifier_block *nb, unsigned long unused,
			  void *parm)
{
	unsigned long *freed = parm;

	*freed += vb_reclaim_give(container_of(nb, struct vb_reclaim, oom_nb),
				  ULONG_MAX);
	return NOTIFY_OK;
}

/**
 * vb_reclaim_start() - register the shrinker and the OOM notifier
 * @reclaim: the reclaim, initialised
 *
 * Does nothing if the host does not ask for hints.
 *
 * Context: May sleep.
 * Return: 0, -ENOMEM, or the notifier chain's error; then it is not started.
 */
int vb_reclaim_start(struct vb_reclaim *reclaim)
{
	int rc;

	if (!reclaim->hint->wq)
		return 0;
	reclaim->shrinker = vb_shrinker_new("vballoon-hint",
					    vb_reclaim_count_objects,
					    vb_reclaim_scan_objects, reclaim);
	if (!reclaim->shrinker)
		return -ENOMEM;
	rc = register_oom_notifier(&reclaim->oom_nb);
	if (rc) {
		vb_shrinker_delete(reclaim->shrinker);
		reclaim->shrinker = NULL;
	}
	return rc;
}

/**
 * vb_reclaim_stop() - unregister both; no callback runs afterwards
 * @reclaim: the reclaim, started or not
 *
 * Context: May sleep.
 */
void vb_reclaim_stop(struct vb_reclaim *reclaim)
{
	if (!reclaim->shrinker)
		return;
	unregister_oom_notifier(&reclaim->oom_nb);
	vb_shrinker_delete(reclaim->shrinker);
	reclaim->shrinker = NULL;
}

/**
 * vb_reclaim_init() - prepare to take hinted blocks back
 * @reclaim: the reclaim
 * @hint: the hints
 *
 * Context: Any.
 */
void vb_reclaim_init(struct vb_reclaim *reclaim, struct vb_hint *hint)
{
	reclaim->hint = hint;
	reclaim->oom_nb.notifier_call = vb_reclaim_oom;
	reclaim->oom_nb.priority = VB_RECLAIM_PRIORITY;
}
