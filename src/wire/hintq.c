// SPDX-License-Identifier: GPL-2.0
/*
 * The free page hint queue: numbers of commands, and blocks of free memory.
 */
#include "wire/wire.h"

static int vb_hintq_post(struct vb_channel *channel, void *data, size_t len,
			 void *token, bool writable)
{
	struct scatterlist sg;
	unsigned long flags;
	int rc;

	sg_init_one(&sg, data, len);
	spin_lock_irqsave(&channel->lock, flags);
	if (writable)
		rc = virtqueue_add_inbuf(channel->hintq.vq, &sg, 1, token,
					 VB_GFP_TABLE);
	else
		rc = virtqueue_add_outbuf(channel->hintq.vq, &sg, 1, token,
					  VB_GFP_TABLE);
	if (!rc)
		channel->hintq.unnotified = true;
	spin_unlock_irqrestore(&channel->lock, flags);
	return rc;
}

/**
 * vb_hintq_cmd() - post the number of a command
 * @channel: the channel, with a hint queue
 * @cmd: the number, in the device's byte order; belongs to the host until
 *       vb_hintq_get() returns this pointer
 * @len: bytes of the number
 *
 * Context: Any; takes the channel lock.
 * Return: 0, or the error of a ring that is full (-ENOSPC) or broken.
 */
int vb_hintq_cmd(struct vb_channel *channel, void *cmd, size_t len)
{
	return vb_hintq_post(channel, cmd, len, cmd, false);
}

/**
 * vb_hintq_block() - post a block of free memory
 * @channel: the channel, with a hint queue
 * @block: the block's address
 * @len: bytes of the block
 * @token: what vb_hintq_get() returns when the host has read the buffer
 *
 * A buffer is one block, since QEMU reads only the first range of a buffer.
 *
 * Context: Any; takes the channel lock.
 * Return: 0, or the error of a ring that is full (-ENOSPC) or broken.
 */
int vb_hintq_block(struct vb_channel *channel, void *block, size_t len,
		   void *token)
{
	return vb_hintq_post(channel, block, len, token, true);
}

/**
 * vb_hintq_notify() - tell the host that there is something to read
 * @channel: the channel, with a hint queue
 * @urge: notify even if nothing is new, or the ring says that the host needs no
 *        notification
 *
 * Context: Any; takes the channel lock.
 */
void vb_hintq_notify(struct vb_channel *channel, bool urge)
{
	unsigned long flags;
	bool notify = urge;

	spin_lock_irqsave(&channel->lock, flags);
	if (channel->hintq.unnotified)
		notify |= virtqueue_kick_prepare(channel->hintq.vq);
	channel->hintq.unnotified = false;
	spin_unlock_irqrestore(&channel->lock, flags);

	if (notify)
		virtqueue_notify(channel->hintq.vq);
}

/**
 * vb_hintq_get() - take back a buffer that the host has read
 * @channel: the channel
 *
 * The hint callback comes again only after this has returned NULL.
 *
 * Context: Any; takes the channel lock.
 * Return: the token of the buffer, or NULL.
 */
void *vb_hintq_get(struct vb_channel *channel)
{
	unsigned long flags;
	void *token = NULL;
	unsigned int len;

	spin_lock_irqsave(&channel->lock, flags);
	while (channel->hintq.vq) {
		virtqueue_disable_cb(channel->hintq.vq);
		token = virtqueue_get_buf(channel->hintq.vq, &len);
		if (token || virtqueue_is_broken(channel->hintq.vq) ||
		    virtqueue_enable_cb_delayed(channel->hintq.vq))
			break;
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return token;
}

/**
 * vb_hintq_broken() - tell whether the device broke its protocol on this queue
 * @channel: the channel
 *
 * Context: Any; takes the channel lock.
 * Return: true if the queue is of no use before the next reset.
 */
bool vb_hintq_broken(struct vb_channel *channel)
{
	unsigned long flags;
	bool broken;

	spin_lock_irqsave(&channel->lock, flags);
	broken = channel->hintq.vq && virtqueue_is_broken(channel->hintq.vq);
	spin_unlock_irqrestore(&channel->lock, flags);
	return broken;
}

/**
 * vb_hintq_detach() - take back a buffer that the host never read
 * @channel: the channel, its device reset
 *
 * Context: Any; takes the channel lock.
 * Return: the token of the buffer, or NULL: there was no other, and the hint
 * queue is closed.
 */
void *vb_hintq_detach(struct vb_channel *channel)
{
	unsigned long flags;
	void *token = NULL;

	spin_lock_irqsave(&channel->lock, flags);
	if (channel->hintq.vq)
		token = virtqueue_detach_unused_buf(channel->hintq.vq);
	if (!token)
		channel->hintq.vq = NULL;
	spin_unlock_irqrestore(&channel->lock, flags);
	return token;
}
