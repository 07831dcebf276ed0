// Makes points fail (kernels/fault_point.h): the one who can. One at a time; while there is one,
// every point counts its hits.
#ifndef SSMD_TESTS_SUPPORT_FAULTS_H_
#define SSMD_TESTS_SUPPORT_FAULTS_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "kernels/fault_point.h"

namespace ssmd::testing {

class Faults {
 public:
  using Point = kernels::FaultPoint;

  static constexpr int64_t kAllThatFollow = int64_t{1} << 40;

  Faults() { Watch(true); }
  ~Faults() { Watch(false); }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  // All that are linked into this program.
  static std::vector<Point*> Points() {
    std::vector<Point*> points;
    for (Point* point = Point::newest_; point != nullptr; point = point->next_) {
      points.push_back(point);
    }
    return points;
  }

  // From now on, the hits first, first + 1, …, first + count − 1 (1: the next) of a point fail.
  void FailAt(Point* point, int64_t first, int64_t count) {
    const int64_t before = point->hits_.load();
    point->last_ = before + first + count - 1;
    point->first_ = before + first;
  }
  // What fails no more; hits are still counted.
  void Stop() {
    for (Point* point : Points()) Disarm(point);
  }
  int64_t HitsOf(const Point* point) const { return point->hits_.load(); }

 private:
  static void Disarm(Point* point) {
    point->first_ = std::numeric_limits<int64_t>::max();
    point->last_ = 0;
  }
  static void Watch(bool watch) {
    for (Point* point : Points()) {
      Disarm(point);
      point->hits_ = 0;
    }
    Point::watched_ = watch;
  }
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_FAULTS_H_
