// als_slope and its ways to borrow: level and slope of each patient integrated out, each likelihood raised to a power.
// Patients of one arm seen equally often make a group, known by its number, mean and scatter about the mean.
data {
  int<lower=1> groups;
  int<lower=1> most;                // visits at most
  int<lower=1> visits[groups];
  vector[most] month;
  vector<lower=0>[groups] n;
  vector[most] average[groups];     // zero after the last visit
  matrix[most, most] scatter[groups];
  vector[groups] treated;
  vector[groups] historical;        // 0 for everybody where historical controls are pooled
  vector[groups] power;
  real<lower=0> scale;              // of the drift
  real<lower=0> wide;
  real<lower=0, upper=1> weight;    // of the wide component
}
parameters {
  real mean_level;
  real level_difference;
  real<lower=0> sd_level;
  real mean_slope;
  real slope_effect;
  real drift;
  real<lower=0> sd_slope;
  real<lower=-1, upper=1> correlation;
  real<lower=0> sd_residual;
}
model {
  vector[most] ones = rep_vector(1, most);
  matrix[most, most] v = square(sd_level) * ones * ones' + square(sd_slope) * month * month'
                         + correlation * sd_level * sd_slope * (ones * month' + month * ones');
  for (j in 1:most) v[j, j] += square(sd_residual);
  mean_level ~ normal(38, 10);
  level_difference ~ normal(0, 5);
  sd_level ~ normal(0, 8);
  mean_slope ~ normal(-1, 1);
  slope_effect ~ normal(0, 0.5);
  target += log_mix(weight, normal_lpdf(drift | 0, wide), normal_lpdf(drift | 0, scale));
  sd_slope ~ normal(0, 1);
  sd_residual ~ lognormal(0.6, 0.5);
  for (g in 1:groups) {
    int m = visits[g];
    vector[m] off = average[g][1:m] - mean_level - level_difference * historical[g]
                    - (mean_slope + slope_effect * treated[g] + drift * historical[g]) * month[1:m];
    matrix[m, m] precision = inverse_spd(v[1:m, 1:m]);
    target += -0.5 * power[g] * (n[g] * log_determinant(v[1:m, 1:m]) + sum(precision .* scatter[g][1:m, 1:m])
                                 + n[g] * quad_form(precision, off));
  }
}
