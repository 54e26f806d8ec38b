// Tasks: their events, their queues, and their end.
#include "engine/serving/internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

double xn_serving_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void leave_grammar(struct xn_serving *s, struct xn_task *task) {
    xn_grammar_state_free(task->state);
    xn_grammar_leave(&s->grammars, task->grammar);
    task->state = NULL;
    task->grammar = NULL;
}

void xn_task_free(struct xn_serving *s, struct xn_task *task) {
    if (!task) return;
    leave_grammar(s, task);
    xn_sampler_free(task->sampler);
    free(task->mask);
    free(task->vector);
    free(task->sum);
    free(task->tokens.data);
    free(task);
}

void xn_task_queue_push(struct xn_task_queue *queue, struct xn_task *task) {
    if (!queue->first) queue->last = &queue->first;
    task->next = NULL;
    *queue->last = task;
    queue->last = &task->next;
    queue->n++;
}

struct xn_task *xn_task_queue_take(struct xn_task_queue *queue, struct xn_task **at) {
    struct xn_task *task = *at;
    *at = task->next;
    if (!task->next) queue->last = at;
    task->next = NULL;
    queue->n--;
    return task;
}

uint32_t xn_task_length(const struct xn_serving *s, const struct xn_task *task) {
    return task->sequence == XN_SERVING_NO_SEQUENCE ? 0 : xn_sequence_length(s->context, task->sequence);
}

int xn_task_emit(struct xn_serving *s, struct xn_task *task, struct xn_serving_event *event) {
    (void)s;
    task->counts.last = xn_serving_now() - task->submitted;
    event->counts = task->counts;
    return task->request.event ? task->request.event(task->request.user, event) : 0;
}

// Out of the list of all, so that nobody cancels it any more.
static void forget(struct xn_serving *s, struct xn_task *task) {
    pthread_mutex_lock(&s->mutex);
    size_t at = 0;
    while (at < s->n_tasks && s->tasks[at] != task)
        at++;
    if (at < s->n_tasks) memmove(s->tasks + at, s->tasks + at + 1, (--s->n_tasks - at) * sizeof *s->tasks);
    if (!task->started)
        s->waiting--;
    else if (s->waiting)
        xn_pace_end(&s->pace, xn_serving_now());
    pthread_mutex_unlock(&s->mutex);
}

static void leave_slot(struct xn_serving *s, struct xn_task *task) {
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->running[i] == task) {
            s->running[i] = NULL;
            s->n_running--;
            struct xn_owner *owner = xn_owner_of(s, task->request.owner);
            if (owner && owner->running) owner->running--;
        }
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->order[i] == task) s->order[i] = NULL;
}

void xn_task_finish(struct xn_serving *s, struct xn_task *task, enum xn_serving_finish finish, int32_t token,
                    const struct xn_error *error) {
    leave_slot(s, task);
    if (task->sequence != XN_SERVING_NO_SEQUENCE) {
        if (task->request.no_cache || task->request.pooling != XN_POOL_NONE || finish == XN_SERVING_ERROR)
            xn_sequence_free(s->context, task->sequence);
        else
            xn_prefix_keep(&s->prefixes, task->sequence);
    }
    struct xn_owner *owner = xn_owner_of(s, task->request.owner);
    if (owner && owner->tasks) owner->tasks--;
    s->counters.finished++;
    s->counters.cancelled += finish == XN_SERVING_CANCELLED;
    s->counters.failed += finish == XN_SERVING_ERROR;
    forget(s, task);
    struct xn_serving_event event = {
        .kind = XN_SERVING_DONE, .token = token, .finish = finish, .error = finish == XN_SERVING_ERROR ? error : NULL};
    xn_task_emit(s, task, &event);
    xn_task_free(s, task);
}
