// als_bounded: beta-binomial scores on 0 to 48, a line of each patient on the logit scale.
data {
  int<lower=1> n;
  int<lower=1> n_rows;
  int<lower=1> subject[n_rows];
  vector[n_rows] month;
  int<lower=0, upper=48> score[n_rows];
  vector[n] treated;
}
parameters {
  real mean_level;
  real<lower=0> sd_level;
  real mean_slope;
  real slope_effect;
  real<lower=0> sd_slope;
  real<lower=-1, upper=1> correlation;
  real<lower=0, upper=1> overdispersion;
  vector[n] u;
  vector[n] v;
}
model {
  vector[n] level = mean_level + sd_level * u;
  vector[n] slope = mean_slope + slope_effect * treated + sd_slope * (correlation * u + sqrt(1 - square(correlation)) * v);
  vector[n_rows] share = inv_logit(level[subject] + slope[subject] .* month);
  real c = (1 - overdispersion) / overdispersion;
  mean_level ~ normal(1, 1.5);
  sd_level ~ normal(0, 1);
  mean_slope ~ normal(-0.12, 0.15);
  slope_effect ~ normal(0, 0.1);
  sd_slope ~ normal(0, 0.15);
  overdispersion ~ beta(1, 50);
  u ~ std_normal();
  v ~ std_normal();
  score ~ beta_binomial(48, share * c, (1 - share) * c);
}
