// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel moves a single page of the balloon: compaction, CMA, memory
 * offlining.  The new page is inflated, then the old page is deflated, each with
 * a bounded wait.  Or the kernel wants the memory that a block lies in: the block
 * is deflated if the host must hear of it, and no other one takes its place here.
 *
 * A page whose batch the host has not read in time is parked here with a
 * reference, until vb_migrate_settle() sees that the host has read the batch.
 */
#include <linux/pagemap.h>
#include <linux/rcupdate.h>

#include "vballoon.h"

/* A migration waits this long for the host to read one batch. */
#define VB_MIGRATE_WAIT		(2 * HZ)

static void vb_migrate_set(struct vb_batch *batch, enum vb_op op,
			   struct page *page, unsigned int order)
{
	batch->op = op;
	batch->order = order;
	batch->pfn[0] = page_to_pfn(page);
	batch->nr = 1;
}

static void vb_migrate_reap(struct vb_device *vb)
{
	/* The reap may have finished a batch of the worker's. */
	if (vb_channel_reap(&vb->channel))
		vb_worker_answered(&vb->worker);
}

static void vb_migrate_send(struct vb_device *vb, struct vb_batch *batch,
			    enum vb_op op, struct page *page,
			    unsigned int order)
{
	vb_migrate_set(batch, op, page, order);
	/* The queues close after vb_migrate_stop(). */
	WARN_ON_ONCE(!vb_channel_send(&vb->channel, batch));
	vb_channel_pump(&vb->channel);
	vb_migrate_reap(vb);
}

static bool vb_migrate_wait(struct vb_device *vb, struct vb_batch *batch)
{
	wait_event_timeout(vb->channel.wait,
			   vb_batch_acknowledged(batch) ||
			   vb_worker_stopping(&vb->worker) ||
			   vb_channel_broken(&vb->channel),
			   VB_MIGRATE_WAIT);
	/* The interrupt may be late, or lost. */
	if (!vb_batch_acknowledged(batch))
		vb_migrate_reap(vb);
	return vb_batch_acknowledged(batch);
}

/*
 * Keep a page, by a reference, until the host has read its batch.  The host may
 * have read the batch just now, so the worker must run.
 */
static void vb_migrate_park(struct vb_device *vb, enum vb_op op,
			    struct page *page)
{
	get_page(page);
	WRITE_ONCE(vb->migrator.parked[op], page);
	vb_worker_kick(&vb->worker);
}

/*
 * The host has not read the deflate of @page in time, or not yet.  The worker
 * must run until the host has, so that a person can see a silent host.  Only
 * under MUST_TELL_HOST does the page stay out of use.
 */
static void vb_migrate_late(struct vb_device *vb, struct page *page)
{
	WRITE_ONCE(vb->migrator.late, true);
	if (vb_must_tell(vb))
		vb_migrate_park(vb, VB_DEFLATE, page);
	else
		vb_worker_kick(&vb->worker);
}

/*
 * Return: 0 if the new page replaces the old one, -ENOENT if the old page
 * leaves the balloon and no page replaces it, -EAGAIN if the old page stays.
 */
static int vb_migrate_locked(struct vb_device *vb, struct page *newpage,
			     struct page *page)
{
	struct vb_migrator *migrator = &vb->migrator;

	if (vb_worker_stopping(&vb->worker) || vb_channel_broken(&vb->channel) ||
	    !vb_batch_can_name(page_to_pfn(newpage)))
		return -EAGAIN;
	/*
	 * The old page stays where it is while the host is slow, or has unread
	 * deflates: one of these may name the new page.
	 */
	if (vb_migrate_parked(vb) ||
	    vb_channel_deflates_unread(&vb->channel) ||
	    vb_channel_silent_on(&vb->channel, VB_INFLATE) ||
	    vb_channel_silent_on(&vb->channel, VB_DEFLATE)) {
		vb_worker_kick(&vb->worker);
		return -EAGAIN;
	}

	vb_migrate_send(vb, migrator->inflate, VB_INFLATE, newpage, 0);
	if (!vb_migrate_wait(vb, migrator->inflate)) {
		vb_migrate_park(vb, VB_INFLATE, newpage);
		if (VB_MIGRATION_MAY_FAIL)
			return -EAGAIN;
		vb_migrate_send(vb, migrator->deflate, VB_DEFLATE, page, 0);
		vb_migrate_late(vb, page);
		return -ENOENT;
	}

	vb_migrate_send(vb, migrator->deflate, VB_DEFLATE, page, 0);
	if (!vb_migrate_wait(vb, migrator->deflate))
		vb_migrate_late(vb, page);
	return 0;
}

/*
 * The old page is isolated no more, so @vb may be freed as soon as
 * vb_migrate_stop() has had the lock, while mutex_unlock() still touches the
 * mutex: vb_migrate_stop() waits for this section.  What the core still does with
 * the store of a block afterwards is for vb_store_empty() to wait for.
 */
static void vb_migrate_unlock(struct vb_device *vb)
{
	rcu_read_lock();
	mutex_unlock(&vb->migrator.lock);
	rcu_read_unlock();
}

/*
 * The balloon core calls this with both pages locked, and maybe others: in
 * MIGRATE_ASYNC the kernel locks a whole list of pages first, so that nothing
 * may sleep for the host.  A trylock, since the worker may get here by its own
 * allocations: it must not sleep for another migration, which waits for the
 * host.
 */
static int vb_migrate_page(struct balloon_dev_info *balloon,
			   struct page *newpage, struct page *page,
			   enum migrate_mode mode)
{
	struct vb_store *store = container_of(balloon, struct vb_store, balloon);
	struct vb_device *vb = container_of(store, struct vb_device, store);
	int rc;

	if (mode == MIGRATE_ASYNC)
		return -EAGAIN;
	if (!mutex_trylock(&vb->migrator.lock))
		return -EAGAIN;
	rc = vb_migrate_locked(vb, newpage, page);
	if (!rc) {
		vb_single_replace(store, newpage, page);
		vb_counters_add(&vb->counters, VB_MIGRATED, 1);
	} else if (rc == -ENOENT) {
		vb_transfer_moved(vb, VB_DEFLATE, 1);
		rc = vb_single_forget(store, page);
	}
	vb_migrate_unlock(vb);
	return rc;
}

/*
 * Tell the host that a block leaves the balloon.  Only under MUST_TELL_HOST is
 * the block parked if the host is late.
 *
 * Return: false if the host has not read the last one yet: the block stays.
 */
static bool vb_migrate_tell_block(struct vb_device *vb, struct page *page)
{
	struct vb_migrator *migrator = &vb->migrator;

	if (vb_channel_broken(&vb->channel) || vb_migrate_parked(vb) ||
	    vb_channel_silent_on(&vb->channel, VB_DEFLATE))
		return false;
	vb_migrate_send(vb, migrator->deflate, VB_DEFLATE, page,
			VB_BLOCK_ORDER);
	if (!vb_migrate_wait(vb, migrator->deflate))
		vb_migrate_late(vb, page);
	migrator->block = migrator->parked[VB_DEFLATE];
	return true;
}

/*
 * A block leaves the balloon; the worker takes another one.  Return: what the
 * migration callback must return, or -EAGAIN if the block stays.
 */
static int vb_migrate_block_locked(struct vb_device *vb, struct page *page)
{
	int rc;

	if (vb_worker_stopping(&vb->worker))
		return -EAGAIN;
	if ((vb_must_tell(vb) || vb->store.tells_blocks) &&
	    !vb_migrate_tell_block(vb, page))
		return -EAGAIN;

	get_page(page);
	vb_transfer_moved(vb, VB_DEFLATE, VB_BLOCK_PAGES);
	rc = vb_block_forget(&vb->store, page);
	if (vb->migrator.block)
		put_page(page);
	else
		vb_block_free(&vb->store, page);
	vb_worker_kick(&vb->worker);
	return rc;
}

/*
 * The kernel wants to move the first page of a block.  Compaction gains nothing
 * by it.  But who has isolated the page block, for alloc_contig_range() or for
 * memory that goes offline, wants all of it: the block is given up.
 */
static int vb_migrate_block(struct balloon_dev_info *blocks,
			    struct page *newpage, struct page *page,
			    enum migrate_mode mode)
{
	struct vb_store *store = container_of(blocks, struct vb_store, blocks);
	struct vb_device *vb = container_of(store, struct vb_device, store);
	int rc;

	/* Final, while -EAGAIN makes the kernel try again. */
	if (!vb_page_is_isolated(page))
		return -EBUSY;
	if (mode == MIGRATE_ASYNC || !mutex_trylock(&vb->migrator.lock))
		return -EAGAIN;
	rc = vb_migrate_block_locked(vb, page);
	vb_migrate_unlock(vb);
	return rc;
}

/**
 * vb_migrate_parked() - tell whether a migration left something to settle
 * @vb: the device
 *
 * Context: Any.
 * Return: true while a page is parked, or a late deflate is unread: the caller
 * must call vb_migrate_settle(), now or later.
 */
bool vb_migrate_parked(struct vb_device *vb)
{
	return READ_ONCE(vb->migrator.parked[VB_INFLATE]) ||
	       READ_ONCE(vb->migrator.late);
}

/* Free a parked old page, and the rest of its block. */
static void vb_migrate_unpark(struct vb_device *vb, struct page *page)
{
	struct vb_migrator *migrator = &vb->migrator;

	if (migrator->block)
		vb_block_free(&vb->store, page);
	else
		put_page(page);
	migrator->block = false;
}

/**
 * vb_migrate_settle() - release parked pages whose batch the host has read
 * @vb: the device
 *
 * A parked new page goes into the balloon, since the host holds it.  A parked
 * old page, or the block that it begins, is freed, since the host has read its
 * deflate.
 *
 * Context: The worker.  May sleep.
 */
void vb_migrate_settle(struct vb_device *vb)
{
	struct vb_migrator *migrator = &vb->migrator;
	struct page *page;

	/* A migration that parks a page holds the lock only a moment longer. */
	if (!vb_migrate_parked(vb))
		return;
	mutex_lock(&migrator->lock);
	page = migrator->parked[VB_INFLATE];
	if (page && vb_batch_acknowledged(migrator->inflate)) {
		/* The kernel may not have unlocked the page after its failure. */
		folio_wait_locked(page_folio(page));
		WRITE_ONCE(migrator->parked[VB_INFLATE], NULL);
		vb_store_commit(&vb->store, migrator->inflate);
		vb_transfer_moved(vb, VB_INFLATE, 1);
	}
	page = migrator->parked[VB_DEFLATE];
	if (migrator->late && vb_batch_acknowledged(migrator->deflate)) {
		WRITE_ONCE(migrator->parked[VB_DEFLATE], NULL);
		WRITE_ONCE(migrator->late, false);
		if (page)
			vb_migrate_unpark(vb, page);
	}
	mutex_unlock(&migrator->lock);
}

/**
 * vb_migrate_stop() - wait for a migration that runs
 * @vb: the device; stopping, so that later migrations are refused
 *
 * Context: May sleep.
 */
void vb_migrate_stop(struct vb_device *vb)
{
	wake_up(&vb->channel.wait);
	mutex_lock(&vb->migrator.lock);
	mutex_unlock(&vb->migrator.lock);
	/* Wait until the migration has returned from its mutex_unlock(). */
	synchronize_rcu();
}

/**
 * vb_migrate_drop() - free the parked pages whose batch the host never read
 * @vb: the device; stopped, reset, its channel abandoned
 *
 * Context: Any.  No worker and no migration runs any more.
 */
void vb_migrate_drop(struct vb_device *vb)
{
	struct vb_migrator *migrator = &vb->migrator;

	if (migrator->parked[VB_INFLATE])
		put_page(migrator->parked[VB_INFLATE]);
	if (migrator->parked[VB_DEFLATE])
		vb_migrate_unpark(vb, migrator->parked[VB_DEFLATE]);
	WRITE_ONCE(migrator->parked[VB_INFLATE], NULL);
	WRITE_ONCE(migrator->parked[VB_DEFLATE], NULL);
	WRITE_ONCE(migrator->late, false);
}

/**
 * vb_migrate_init() - allocate both batches and let the kernel move pages
 * @vb: the device, its store initialised
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_migrate_exit() is due either way.
 */
int vb_migrate_init(struct vb_device *vb)
{
	struct vb_migrator *migrator = &vb->migrator;

	mutex_init(&migrator->lock);
	migrator->inflate = vb_batch_alloc(VB_KIND_MIGRATION, 1);
	migrator->deflate = vb_batch_alloc(VB_KIND_MIGRATION, 1);
	if (!migrator->inflate || !migrator->deflate)
		return -ENOMEM;
	vb->store.balloon.migratepage = vb_migrate_page;
	vb->store.blocks.migratepage = vb_migrate_block;
	return 0;
}

/**
 * vb_migrate_exit() - free what vb_migrate_init() allocated
 * @vb: the device, its store empty
 *
 * Context: Any.
 */
void vb_migrate_exit(struct vb_device *vb)
{
	vb_batch_free(vb->migrator.inflate);
	vb_batch_free(vb->migrator.deflate);
}
