#include "clients/bench/chart.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/ssmctl/text.h"

namespace ssmd::bench {
namespace {

constexpr double kWidth = 960;
constexpr double kPanelWidth = 380;  // of the area that is drawn on
constexpr double kPanelHeight = 220;
constexpr double kColumn = 470;  // from panel to panel
constexpr double kRow = 320;
constexpr double kLeft = 72;
constexpr double kTop = 128;
constexpr double kMillisecondsMin = 0.01;  // less is drawn as this
constexpr size_t kCurvePoints = 200;
constexpr size_t kLabelBytesMax = 90;
constexpr const char* kColors[] = {"#2563eb", "#d97706"};
constexpr const char* kStyle =
    "text{font-family:system-ui,sans-serif;font-size:13px;fill:#0f172a}"
    ".title{font-size:17px;font-weight:bold}.head{font-size:14px;font-weight:bold}"
    ".dim{fill:#475569;font-size:12px}.grid{stroke:#e2e8f0}"
    ".axis{stroke:#334155;stroke-width:1.4}.curve{fill:none;stroke-width:2.2}";

std::string Escaped(const std::string& text) {
  const std::string whole = ctl::ForTerminal(ctl::LossyUtf8(text));
  std::string escaped;
  for (const char c : whole) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '\n':
      case '\t':
        escaped += ' ';
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Text(double x, double y, const char* attributes, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes,
                         Escaped(text));
}

std::string Line(double x1, double y1, double x2, double y2, const char* css_class) {
  return absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n",
                         x1, y1, x2, y2, css_class);
}

std::string TimeLabel(double milliseconds) {
  return milliseconds < 1000 ? absl::StrFormat("%g ms", milliseconds)
                             : absl::StrFormat("%g s", milliseconds / 1000);
}

// A range of times in milliseconds on a logarithmic axis, with where its marks are.
class TimeAxis {
 public:
  TimeAxis(double low, double high) {
    low = std::max(low, kMillisecondsMin);
    high = std::max(high, low * 1.05);
    const bool narrow = high / low < 30;
    const std::vector<int> steps = narrow ? std::vector<int>{1, 2, 5} : std::vector<int>{1};
    std::vector<double> marks;
    for (int decade = static_cast<int>(std::floor(std::log10(low)));
         decade <= static_cast<int>(std::ceil(std::log10(high))); ++decade) {
      for (const int step : steps) marks.push_back(step * std::pow(10.0, decade));
    }
    // From the last mark below to the first above.
    size_t first = 0;
    while (first + 1 < marks.size() && marks[first + 1] <= low) ++first;
    size_t last = marks.size() - 1;
    while (last > first + 1 && marks[last - 1] >= high) --last;
    marks_.assign(marks.begin() + static_cast<std::ptrdiff_t>(first),
                  marks.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  }

  const std::vector<double>& marks() const { return marks_; }
  // 0 at the low end, 1 at the high one.
  double Place(double milliseconds) const {
    const double low = std::log(marks_.front());
    const double value = std::log(std::max(milliseconds, kMillisecondsMin));
    return std::clamp((value - low) / (std::log(marks_.back()) - low), 0.0, 1.0);
  }

 private:
  std::vector<double> marks_;
};

struct Panel {
  double x;
  double y;
};

std::string PanelFrame(const Panel& at, const std::string& head) {
  return Text(at.x, at.y - 14, "class=\"head\"", head) +
         Line(at.x, at.y, at.x, at.y + kPanelHeight, "axis") +
         Line(at.x, at.y + kPanelHeight, at.x + kPanelWidth, at.y + kPanelHeight, "axis");
}

std::string AxisName(const Panel& at, const std::string& x_name, const std::string& y_name) {
  const double middle = at.y + kPanelHeight / 2;
  const std::string turned =
      absl::StrFormat("class=\"dim\" text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\"",
                      at.x - 54, middle);
  return Text(at.x + kPanelWidth / 2, at.y + kPanelHeight + 40,
              "class=\"dim\" text-anchor=\"middle\"", x_name) +
         Text(at.x - 54, middle, turned.c_str(), y_name);
}

using SeriesPart = const Samples& (*)(const LoadReport&);

std::string Curve(const std::vector<double>& sorted, const TimeAxis& axis, const Panel& at,
                  const char* color) {
  std::string path;
  const size_t points = std::min(sorted.size(), kCurvePoints);
  for (size_t i = 1; i <= points; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(points);
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    absl::StrAppendFormat(&path, "%s%.1f %.1f", i == 1 ? "M" : " L",
                          at.x + kPanelWidth * axis.Place(sorted[rank - 1]),
                          at.y + kPanelHeight * (1 - share));
  }
  return absl::StrFormat("<path class=\"curve\" stroke=\"%s\" d=\"%s\"/>\n", color, path);
}

std::string SharesPanel(const Panel& at, const std::string& head, const std::string& of,
                        const std::vector<ChartSeries>& series, SeriesPart part) {
  std::vector<std::vector<double>> values;
  double low = INFINITY;
  double high = 0;
  for (const ChartSeries& one : series) {
    std::vector<double> sorted = part(one.load).kept();
    std::sort(sorted.begin(), sorted.end());
    if (!sorted.empty()) {
      // What the fastest hundredth took would be most of the axis.
      low = std::min(low, sorted[sorted.size() / 100]);
      high = std::max(high, sorted.back());
    }
    values.push_back(std::move(sorted));
  }
  std::string svg = PanelFrame(at, head);
  if (high <= 0) {
    return svg + Text(at.x + 12, at.y + kPanelHeight / 2, "class=\"dim\"", "nothing measured");
  }
  const TimeAxis axis(low, high);
  for (const double mark : axis.marks()) {
    const double x = at.x + kPanelWidth * axis.Place(mark);
    svg += Line(x, at.y, x, at.y + kPanelHeight, "grid");
    svg +=
        Text(x, at.y + kPanelHeight + 18, "class=\"dim\" text-anchor=\"middle\"", TimeLabel(mark));
  }
  for (const int percent : {0, 25, 50, 75, 90, 100}) {
    const double y = at.y + kPanelHeight * (1 - percent / 100.0);
    svg += Line(at.x, y, at.x + kPanelWidth, y, "grid");
    svg += Text(at.x - 8, y + 4, "class=\"dim\" text-anchor=\"end\"", absl::StrCat(percent, "%"));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].empty()) svg += Curve(values[i], axis, at, kColors[i]);
  }
  return svg + AxisName(at, "time, logarithmic", of);
}

std::string TurnsPanel(const Panel& at, const std::vector<ChartSeries>& series, size_t turns) {
  double low = INFINITY;
  double high = 0;
  for (const ChartSeries& one : series) {
    for (const Samples& turn : one.load.first_token_by_turn) {
      if (turn.count() == 0) continue;
      low = std::min(low, turn.Summary().p50);
      high = std::max(high, turn.Summary().p90);
    }
  }
  const TimeAxis axis(low, high);
  std::string svg = PanelFrame(at, "First token by turn");
  for (const double mark : axis.marks()) {
    const double y = at.y + kPanelHeight * (1 - axis.Place(mark));
    svg += Line(at.x, y, at.x + kPanelWidth, y, "grid");
    svg += Text(at.x - 8, y + 4, "class=\"dim\" text-anchor=\"end\"", TimeLabel(mark));
  }
  const double step = kPanelWidth / static_cast<double>(turns);
  const auto x_of = [&](size_t turn) { return at.x + step * (static_cast<double>(turn) + 0.5); };
  const size_t every = (turns + 15) / 16;
  for (size_t turn = 0; turn < turns; turn += every) {
    svg += Text(x_of(turn), at.y + kPanelHeight + 18, "class=\"dim\" text-anchor=\"middle\"",
                absl::StrCat(turn + 1));
  }
  for (size_t i = 0; i < series.size(); ++i) {
    for (const bool median : {true, false}) {
      std::string path;
      const auto& by_turn = series[i].load.first_token_by_turn;
      for (size_t turn = 0; turn < by_turn.size(); ++turn) {
        if (by_turn[turn].count() == 0) continue;
        const Percentiles times = by_turn[turn].Summary();
        const double place = axis.Place(median ? times.p50 : times.p90);
        absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : " L", x_of(turn),
                              at.y + kPanelHeight * (1 - place));
      }
      if (path.empty()) continue;
      absl::StrAppendFormat(&svg, "<path class=\"curve\" stroke=\"%s\" %sd=\"%s\"/>\n", kColors[i],
                            median ? "" : "stroke-dasharray=\"3 4\" ", path);
    }
  }
  return svg + AxisName(at, "turn of the conversation (p50; dotted: p90)", "time, logarithmic");
}

std::string Legend(const std::vector<ChartSeries>& series) {
  std::string svg;
  for (size_t i = 0; i < series.size(); ++i) {
    const double y = 58 + 20 * static_cast<double>(i);
    const LoadReport& load = series[i].load;
    absl::StrAppendFormat(&svg,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"22\" height=\"4\" fill=\"%s\"/>\n",
                          kLeft, y - 7, kColors[i]);
    svg += Text(kLeft + 30, y, "",
                absl::StrFormat("%s: %.1f requests and %.0f tokens a second, %d failed",
                                series[i].label.substr(0, kLabelBytesMax), load.requests_per_s(),
                                load.tokens_per_s(), load.failed()));
  }
  return svg;
}

}  // namespace

std::string ChartSvg(const std::string& title, const std::vector<ChartSeries>& series) {
  size_t turns = 0;
  for (const ChartSeries& one : series) {
    turns = std::max(turns, one.load.first_token_by_turn.size());
  }
  const double height = kTop + 2 * kRow - 30;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "viewBox=\"0 0 %.0f %.0f\">\n<style>%s</style>\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
      kWidth, height, kWidth, height, kStyle);
  svg += Text(kLeft, 32, "class=\"title\"", title) + Legend(series);
  const std::string requests = "share of requests";
  svg += SharesPanel({kLeft, kTop}, "First token", requests, series,
                     [](const LoadReport& load) -> const Samples& { return load.first_token_ms; });
  svg += SharesPanel({kLeft + kColumn, kTop}, "Inter-token", "share of tokens", series,
                     [](const LoadReport& load) -> const Samples& { return load.inter_token_ms; });
  svg += SharesPanel({kLeft, kTop + kRow}, "Whole request", requests, series,
                     [](const LoadReport& load) -> const Samples& { return load.total_ms; });
  if (turns > 1) svg += TurnsPanel({kLeft + kColumn, kTop + kRow}, series, turns);
  return svg + "</svg>\n";
}

}  // namespace ssmd::bench
