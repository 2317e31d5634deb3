/*
 * STUN Binding requests with FINGERPRINT from many sources, as fast as the rings take them, and
 * their answers, in rig R1.
 *
 * Threads    The caller's, on the generator's core.
 */
#pragma once

/*
 * Answers a second over that time. Every request is answered but for what is under way at the end;
 * below 0: an answer is missing, or is not what it ought to be.
 */
double asking_run(double seconds);
