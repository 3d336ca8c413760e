package main

import (
	"context"
	"sync"
	"time"
)

// throttlePeriod is the kernel's: cpu.cfs_period_us of a container with a CPU limit.
const throttlePeriod = 100 * time.Millisecond

// throttle does to work what the kernel does to a container with a CPU limit: when the share of a period is used up, nothing goes on
// until the next one begins. Source: the kernel's "CFS Bandwidth Control".
type throttle struct {
	period, quota time.Duration

	mutex sync.Mutex
	start time.Time
	used  time.Duration
}

func newThrottle(limit float64, slowdown float64) *throttle {
	period := time.Duration(float64(throttlePeriod) * slowdown)
	return &throttle{period: period, quota: time.Duration(limit * float64(period))}
}

// take waits until there is something left of a period, and takes this much.
func (t *throttle) take(ctx context.Context, cost time.Duration) error {
	for {
		wait := t.tryTake(time.Now(), cost)
		if wait == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryTake returns how long to wait before the next try; 0: it is taken.
func (t *throttle) tryTake(now time.Time, cost time.Duration) time.Duration {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.start.IsZero() {
		t.start = now
	}
	if periods := now.Sub(t.start) / t.period; periods > 0 {
		// What was taken beyond the share is owed.
		t.used = max(0, t.used-t.quota*periods)
		t.start = t.start.Add(periods * t.period)
	}
	if t.used < t.quota {
		t.used += cost
		return 0
	}
	return max(t.start.Add(t.period).Sub(now), time.Millisecond)
}
